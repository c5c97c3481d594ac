//! Cabinets, for `tests/bench/cab_peers.sh`, which runs cabextract beside it:
//!
//! ```text
//! cab_peers make METHOD FOLDERS CABINET FILE...     pack files into a cabinet
//! cab_peers extract THREADS CABINET DIRECTORY       unpack it
//! ```
//!
//! Without arguments (as `cargo bench` calls it) it does nothing.

use std::{
    error::Error,
    io::{self, Write as _},
    path::Path,
    sync::Arc,
};

use fs_err as fs;
use transom::{
    base::read_at::FileSource,
    format::cab::{self, CabMethod, Cabinet, NewMember},
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["make", method, folders, cabinet, files @ ..] => {
            make(method, folders.parse()?, Path::new(cabinet), files)
        }
        ["extract", threads, cabinet, directory] => {
            rayon::ThreadPoolBuilder::new().num_threads(threads.parse()?).build_global()?;
            extract(Path::new(cabinet), Path::new(directory))
        }
        _ => Ok(()),
    }
}

fn make(method: &str, folders: usize, path: &Path, files: &[&str]) -> Result<(), Box<dyn Error>> {
    let method = match method {
        "stored" => CabMethod::Stored,
        "mszip" => CabMethod::MsZip,
        "lzx" => CabMethod::Lzx,
        other => return Err(format!("no method {other}").into()),
    };
    let members = files.iter().enumerate().map(|(number, file)| {
        let name = Path::new(file).file_name().unwrap_or_default().to_string_lossy();
        let content = fs::read(file)?;
        Ok(NewMember { name: format!(r"{number}\{name}"), date: 0x5021, time: 0, content })
    });
    let members = members.collect::<io::Result<Vec<_>>>()?;
    let each = members.len().div_ceil(folders.max(1)).max(1);
    let folders: Vec<Vec<NewMember>> = members.chunks(each).map(<[_]>::to_vec).collect();
    let mut output = io::BufWriter::new(fs::File::create(path)?);
    cab::write(&mut output, method, &folders)?;
    output.flush()?;
    Ok(())
}

fn extract(path: &Path, directory: &Path) -> Result<(), Box<dyn Error>> {
    let cabinet = Cabinet::open(Arc::new(FileSource::open(path)?))?;
    cabinet.extract_parallel(|_| true, &|member, content| {
        let place = directory.join(member.name.replace('\\', "/"));
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent)?;
        }
        io::copy(content, &mut fs::File::create(place)?).map(drop)
    })?;
    Ok(())
}
