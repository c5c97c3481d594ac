//! XPRESS chunks that Windows itself compressed (two levels of its Compression API).

use crate::support::{files_below, shared_data};
use transom::codec::{Codec, decoder};

#[test]
fn xpress_chunks_of_windows_decode() {
    let Some(folder) = shared_data("xpress-vectors") else { return };
    let mut decoder = decoder(Codec::Xpress, 64 << 10).unwrap();
    let mut decoded = 0;
    for level in ["compressed-huffman", "compressed-more-huffman"] {
        for path in files_below(&folder.join(level)) {
            let name = path.file_stem().unwrap().to_str().unwrap();
            let plain =
                fs_err::read(folder.join("decompressed").join(format!("{name}.decomp"))).unwrap();
            // Longer ones are several chunks in the general format; WIM has no chunks of more than 64 KiB.
            if plain.len() > 64 << 10 {
                continue;
            }
            let mut output = vec![0; plain.len()];
            decoder.decode(&fs_err::read(&path).unwrap(), &mut output).unwrap();
            assert!(output == plain, "{}", path.display());
            decoded += 1;
        }
    }
    assert!(decoded >= 50, "only {decoded} vectors were small enough");
}
