//! Reading an answer file never panics, whatever the bytes; what was read is written and read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transom::format::unattend::AnswerFile;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(file) = AnswerFile::parse(bytes) {
        drop(transom::servicing::unattend::lint(&file));
        let text = file.to_text();
        let again = AnswerFile::parse(text.as_bytes()).expect("what is written can be read");
        assert_eq!(again.to_text(), text);
        assert_eq!(again.without_places(), file.without_places());
    }
});
