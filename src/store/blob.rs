//! Blobs, kept as WIM resources that a commit copies as they are; `object.rs` draws the file.
//!
//! One blob may be there in several forms (codec, chunk size, level); the form is the name's suffix. What an older encoder
//! made is another form too: it is never copied into an output, whose bytes would then depend on the cache. Another form is made
//! from one that is there when a commit asks for it, so a change of `[output] compression` needs no inputs.

use std::{
    io::{self, Seek as _, SeekFrom, Write as _},
    sync::{Arc, Mutex, PoisonError},
};

use fs_err as fs;

use super::{
    error::StoreError,
    folder::{Store, fan_out, is_unusable},
    object::{HEADER, Header, ObjectFile, codec_word, hash, named_digest, object},
};
use crate::{
    base::{
        digest::{Blake3, Sha1},
        read_at::{FileSource, ReadAt},
    },
    codec::{Codec, Level},
    format::wim::{WimError, encode_resource_seek},
};

/// Content that the store holds: its name there, its name in a WIM, its size.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct StoredBlob {
    /// BLAKE3 of the content: its name in the store.
    pub blake3: Blake3,
    /// SHA-1 of the content: its name in a WIM.
    pub sha1: Sha1,
    /// Size in bytes.
    pub size: u64,
}

/// How the resource of a blob is made. Equal settings and content give equal bytes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub struct ResourceSettings {
    /// Compression.
    pub codec: Codec,
    /// Bytes in a chunk.
    pub chunk_size: u32,
    /// Effort.
    pub level: Level,
}

/// A resource that is ready to be copied into a WIM of the same settings. It has been verified.
#[derive(Debug, Clone)]
pub struct Resource {
    /// The object file. It is opened for each read, so that a commit may hold any number of them.
    pub source: Arc<dyn ReadAt>,
    /// Where the resource begins in it.
    pub offset: u64,
    /// Bytes of the resource.
    pub stored_size: u64,
    /// Whether it is stored as compressed chunks.
    pub compressed: bool,
}

impl ResourceSettings {
    /// The suffix of object names in this form, as this version of the encoder makes it.
    fn suffix(&self) -> String {
        self.suffix_by(self.codec.encoder_version())
    }

    /// The suffix of object names in this form, as `encoder` makes it.
    fn suffix_by(&self, encoder: u8) -> String {
        let level = self.level.word();
        format!("{}-{}-{level}-{encoder}", codec_word(self.codec), self.chunk_size)
    }
}

impl Store {
    /// Takes the content of `source` in. What is there already in this form is not compressed again.
    ///
    /// # Errors
    /// [`StoreError::Source`] when the content cannot be read, [`StoreError::Changed`] when it changes meanwhile; otherwise when it cannot be
    /// coded or the object cannot be written.
    pub fn put_blob(
        &self,
        source: &dyn ReadAt,
        settings: &ResourceSettings,
    ) -> Result<StoredBlob, StoreError> {
        let blake3 = hash(source, 0, source.size()).map_err(StoreError::Source)?;
        self.put_known_blob(source, blake3, settings)
    }

    /// As [`Store::put_blob`] for content whose BLAKE3 is known: what is there already is not even read.
    ///
    /// # Errors
    /// As [`Store::put_blob`]; [`StoreError::Changed`] when the content is not what `blake3` says.
    pub fn put_known_blob(
        &self,
        source: &dyn ReadAt,
        blake3: Blake3,
        settings: &ResourceSettings,
    ) -> Result<StoredBlob, StoreError> {
        let name = object(&blake3, &settings.suffix());
        if let Some(header) = self.look(&name, &blake3)? {
            self.mark_used(&name);
            tracing::debug!("store: hit {name}");
            return Ok(header.blob);
        }
        let mut file = self.temporary()?;
        let handle = file.as_file_mut();
        handle.write_all(&[0; HEADER]).map_err(|error| self.full(&error))?;
        let form = (settings.codec, settings.chunk_size, settings.level);
        let source = Tagged { source, failure: Mutex::default() };
        let coded = encode_resource_seek(&source, form, handle).map_err(|error| {
            match (source.take_failure(), error) {
                (Some(failure), _) => StoreError::Source(failure),
                (None, WimError::Io(error)) => self.full(&error),
                (None, error) => coding(error),
            }
        })?;
        let length = coded.stored_size.saturating_add(HEADER as u64);
        handle.set_len(length)?;
        if coded.blake3 != blake3 {
            return Err(StoreError::Changed);
        }
        let blob = StoredBlob { blake3, sha1: coded.sha1, size: coded.size };
        let written = ObjectFile { path: file.path().to_owned(), size: length };
        let stored = hash(&written, HEADER as u64, coded.stored_size)?;
        // Content that does not get smaller is read a second time, and may have changed between.
        if !coded.compressed && stored != blake3 {
            return Err(StoreError::Changed);
        }
        let header = Header {
            blob,
            settings: *settings,
            encoder: settings.codec.encoder_version(),
            compressed: coded.compressed,
            stored_size: coded.stored_size,
            stored,
        };
        let handle = file.as_file_mut();
        handle.seek(SeekFrom::Start(0))?;
        handle.write_all(&header.to_bytes()).map_err(|error| self.full(&error))?;
        self.persist(file, &name)?;
        tracing::debug!("store: miss {name}, {} bytes encoded to {}", blob.size, coded.stored_size);
        Ok(blob)
    }

    /// Takes the content of `source` in and gives it back as a verified resource. What is there already in this form and turns out to be
    /// damaged is made anew.
    ///
    /// # Errors
    /// As [`Store::put_blob`] and [`Store::resource`].
    pub fn put_resource(
        &self,
        source: &dyn ReadAt,
        settings: &ResourceSettings,
    ) -> Result<Resource, StoreError> {
        let blob = self.put_blob(source, settings)?;
        match self.resource(&blob, settings) {
            // It was deleted just now for being damaged.
            Err(StoreError::Lost(_)) => {
                self.put_known_blob(source, blob.blake3, settings)?;
                self.resource(&blob, settings)
            }
            other => other,
        }
    }

    /// True when some form of the blob is there, as far as header and length tell; the `likely` one is looked for first.
    ///
    /// # Errors
    /// When the folder is there but cannot be read.
    pub fn has_blob(
        &self,
        blob: &StoredBlob,
        likely: &ResourceSettings,
    ) -> Result<bool, StoreError> {
        let name = object(&blob.blake3, &likely.suffix());
        if self.look(&name, &blob.blake3)?.is_some_and(|header| header.blob == *blob) {
            self.mark_used(&name);
            return Ok(true);
        }
        Ok(self.any_form(blob)?.is_some())
    }

    /// The blob as a resource in the wanted form, verified. It is made from another form when needed.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when no sound form is there; otherwise when it cannot be read, coded or written.
    pub fn resource(
        &self,
        blob: &StoredBlob,
        settings: &ResourceSettings,
    ) -> Result<Resource, StoreError> {
        let name = object(&blob.blake3, &settings.suffix());
        if let Some(resource) = self.verified(&name, blob)? {
            return Ok(resource.0);
        }
        while let Some(other) = self.any_form(blob)? {
            if let Some((resource, header)) = self.verified(&other, blob)? {
                tracing::debug!("store: transcoding {other} to {name}");
                let content = header.decoded(&resource)?;
                match self.put_known_blob(&*content, blob.blake3, settings) {
                    Ok(_) => {}
                    // It decodes to something else, or not at all: it was damaged before it was written.
                    Err(StoreError::Changed | StoreError::Source(_)) => {
                        self.discard(&other);
                        continue;
                    }
                    Err(error) => return Err(error),
                }
                if let Some(resource) = self.verified(&name, blob)? {
                    return Ok(resource.0);
                }
                break;
            }
        }
        Err(StoreError::Lost(blob.blake3))
    }

    /// The content of a blob, decoded as it is read. The object is verified; what is decoded is not, so who reads it compares a digest.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when no sound form is there; otherwise when it cannot be read.
    pub fn content(&self, blob: &StoredBlob) -> Result<Arc<dyn ReadAt>, StoreError> {
        while let Some(name) = self.any_form(blob)? {
            if let Some((resource, header)) = self.verified(&name, blob)? {
                return header.decoded(&resource);
            }
        }
        Err(StoreError::Lost(blob.blake3))
    }

    /// The content of a blob, verified.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when no sound form is there; otherwise when it cannot be read.
    pub fn read(&self, blob: &StoredBlob) -> Result<Vec<u8>, StoreError> {
        while let Some(name) = self.any_form(blob)? {
            if let Some((resource, header)) = self.verified(&name, blob)? {
                let content = header.decoded(&resource)?;
                let size = usize::try_from(blob.size).map_err(io::Error::other)?;
                let mut bytes = vec![0; size];
                content.read_exact_at(0, &mut bytes)?;
                if Blake3::of(&bytes) == blob.blake3 {
                    return Ok(bytes);
                }
                self.discard(&name);
            }
        }
        Err(StoreError::Lost(blob.blake3))
    }

    /// Reads every blob that was used through this handle to the end and deletes those that are damaged, so that a build that met one does
    /// not begin again once for each.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn discard_damaged(&self) -> Result<(), StoreError> {
        for name in self.used().iter().filter(|name| name.starts_with("blobs/")) {
            let Some(blake3) = named_digest(name) else { continue };
            if let Some(header) = self.look(name, &blake3)? {
                self.verified(name, &header.blob)?;
            }
        }
        Ok(())
    }

    /// The object `name` with all its bytes checked; `None` when it is not there or was not sound.
    fn verified(
        &self,
        name: &str,
        blob: &StoredBlob,
    ) -> Result<Option<(Resource, Header)>, StoreError> {
        let Some(header) = self.look(name, &blob.blake3)? else { return Ok(None) };
        let source = ObjectFile { path: self.path_of(name), size: header.file_size() };
        let stored = match hash(&source, HEADER as u64, header.stored_size) {
            Ok(stored) => stored,
            // It was shortened or deleted a moment ago.
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) if is_unusable(name, &error) => {
                self.discard(name);
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        if stored != header.stored || header.blob != *blob {
            tracing::warn!("store: {name} is damaged and is deleted");
            self.discard(name);
            return Ok(None);
        }
        self.mark_used(name);
        let resource = Resource {
            source: Arc::new(source),
            offset: HEADER as u64,
            stored_size: header.stored_size,
            compressed: header.compressed,
        };
        Ok(Some((resource, header)))
    }

    /// The header of the object `name` if header and length are right; an object that is not is deleted.
    fn look(&self, name: &str, blake3: &Blake3) -> Result<Option<Header>, StoreError> {
        let file = match FileSource::open(self.path_of(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if is_unusable(name, &error) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut bytes = [0; HEADER];
        let header = match file.read_exact_at(0, &mut bytes) {
            Ok(()) => Header::parse(&bytes).ok(),
            Err(error) if is_gone(&error) || is_unusable(name, &error) => None,
            Err(error) => return Err(error.into()),
        };
        let sound = header.filter(|header| {
            header.blob.blake3 == *blake3
                && header.file_size() == file.size()
                && object(blake3, &header.settings.suffix_by(header.encoder)) == name
        });
        if sound.is_none() {
            self.discard(name);
        }
        Ok(sound)
    }

    /// The name of a form of the blob whose header and length are right; the first by name.
    fn any_form(&self, blob: &StoredBlob) -> Result<Option<String>, StoreError> {
        let hex = blob.blake3.to_hex();
        let (fan, rest) = fan_out(&hex);
        let folder = format!("blobs/{fan}");
        let entries = match fs::read_dir(self.path_of(&folder)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            if let Some(name) = name.to_str()
                && name.strip_prefix(rest).is_some_and(|suffix| suffix.starts_with('.'))
            {
                names.push(format!("{folder}/{name}"));
            }
        }
        names.sort();
        for name in names {
            if self.look(&name, &blob.blake3)?.is_some_and(|header| header.blob == *blob) {
                self.mark_used(&name);
                return Ok(Some(name));
            }
        }
        Ok(None)
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound)
}

pub(super) fn coding(error: WimError) -> StoreError {
    match error {
        WimError::Io(error) => error.into(),
        other => StoreError::Coding(other.to_string()),
    }
}

/// Content to be stored; keeps why it could not be read, so that this is not taken for a failure of the store.
#[derive(Debug)]
struct Tagged<'a> {
    source: &'a dyn ReadAt,
    failure: Mutex<Option<io::Error>>,
}

impl Tagged<'_> {
    fn take_failure(&self) -> Option<io::Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ReadAt for Tagged<'_> {
    fn size(&self) -> u64 {
        self.source.size()
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.source.read_exact_at(offset, buffer).map_err(|error| {
            let kind = error.kind();
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            kind.into()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const FORMS: [(Codec, u32); 4] =
        [(Codec::None, 0), (Codec::Xpress, 32768), (Codec::Xpress, 4096), (Codec::Lzx, 32768)];

    fn form(codec: Codec, chunk_size: u32) -> ResourceSettings {
        ResourceSettings { codec, chunk_size, level: Level::Default }
    }

    fn content() -> Vec<u8> {
        (0..100_000_u32).map(|number| (number / 5 % 253) as u8).collect()
    }

    fn object_files(store: &Store) -> Vec<PathBuf> {
        let walk = walkdir::WalkDir::new(store.folder().join("blobs")).sort_by_file_name();
        let files = walk.into_iter().map(Result::unwrap);
        files.filter(|entry| entry.file_type().is_file()).map(|e| e.into_path()).collect()
    }

    #[test]
    fn a_blob_is_read_in_every_form_whichever_it_was_put_in() {
        for first in FORMS {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path()).unwrap();
            let blob = store.put_blob(&content(), &form(first.0, first.1)).unwrap();
            assert_eq!(blob.blake3, Blake3::of(&content()));
            assert_eq!((blob.sha1, blob.size), (Sha1::of(&content()), 100_000));
            for wanted in FORMS {
                let resource = store.resource(&blob, &form(wanted.0, wanted.1)).unwrap();
                assert_eq!(resource.compressed, wanted.0 != Codec::None);
            }
            assert_eq!(object_files(&store).len(), FORMS.len());
            assert_eq!(store.read(&blob).unwrap(), content());
        }
    }

    #[test]
    fn a_transcoded_form_has_the_bytes_of_one_made_from_the_content() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] =
            ["one", "other"].map(|name| Store::open(&folder.path().join(name)).unwrap());
        let (xpress, lzx) = (form(Codec::Xpress, 4096), form(Codec::Lzx, 32768));
        let blob = one.put_blob(&content(), &xpress).unwrap();
        one.resource(&blob, &lzx).unwrap();
        other.put_blob(&content(), &lzx).unwrap();
        let made: Vec<u8> = fs::read(&object_files(&other)[0]).unwrap();
        assert_eq!(fs::read(&object_files(&one)[0]).unwrap(), made);
    }

    #[test]
    fn an_object_torn_or_changed_anywhere_is_lost_and_can_be_put_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let settings = form(Codec::Xpress, 4096);
        let content = b"some content that is repeated, that is repeated, that is repeated".to_vec();
        let blob = store.put_blob(&content, &settings).unwrap();
        let path = object_files(&store).remove(0);
        let sound = fs::read(&path).unwrap();
        for place in 0..sound.len() {
            let mut damaged = sound.clone();
            damaged[place] ^= 0x10;
            for bytes in [&damaged[..], &sound[..place], &[]] {
                fs::write(&path, bytes).unwrap();
                let lost = store.resource(&blob, &settings).unwrap_err();
                assert!(lost.is_lost(), "byte {place}: {lost}");
                assert!(!path.exists(), "byte {place}");
                fs::write(&path, bytes).unwrap();
                assert!(store.read(&blob).unwrap_err().is_lost(), "byte {place}");
            }
        }
        assert_eq!(store.put_blob(&content, &settings).unwrap(), blob);
        assert_eq!(fs::read(&path).unwrap(), sound);
    }

    #[test]
    fn a_sound_form_replaces_a_damaged_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (xpress, none) = (form(Codec::Xpress, 4096), form(Codec::None, 0));
        let blob = store.put_blob(&content(), &xpress).unwrap();
        store.resource(&blob, &none).unwrap();
        for path in object_files(&store) {
            if path.to_string_lossy().contains("xpress") {
                fs::write(path, b"torn").unwrap();
            }
        }
        assert!(store.resource(&blob, &xpress).unwrap().compressed);
        assert_eq!(store.read(&blob).unwrap(), content());
    }

    #[test]
    fn many_threads_put_and_read_the_same_blobs() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    // Every thread is a build of its own, as far as the store can tell.
                    let store = Store::open(folder.path()).unwrap();
                    for number in 0..40_u8 {
                        let content = vec![number; 10_000];
                        let settings = form(Codec::Xpress, 4096);
                        let blob = store.put_blob(&content, &settings).unwrap();
                        store.resource(&blob, &settings).unwrap();
                        assert_eq!(store.read(&blob).unwrap(), content);
                    }
                });
            }
        });
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(object_files(&store).len(), 40);
        assert_eq!(fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
    }

    /// Incompressible content that is other content when it is read for the second time.
    #[derive(Debug)]
    struct ChangesWhenReadAgain(std::sync::atomic::AtomicBool);

    impl ReadAt for ChangesWhenReadAgain {
        fn size(&self) -> u64 {
            4096
        }

        fn read_exact_at(&self, _: u64, buffer: &mut [u8]) -> io::Result<()> {
            let again = self.0.swap(true, std::sync::atomic::Ordering::Relaxed);
            buffer.copy_from_slice(&noise(u8::from(again))[..buffer.len()]);
            Ok(())
        }
    }

    fn noise(seed: u8) -> Vec<u8> {
        (0..128_u8).flat_map(|number| Blake3::of(&[seed, number]).0).collect()
    }

    #[test]
    fn content_that_changes_between_compressing_and_copying_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let source = ChangesWhenReadAgain(false.into());
        let result =
            store.put_known_blob(&source, Blake3::of(&noise(0)), &form(Codec::Xpress, 4096));
        assert!(matches!(result, Err(StoreError::Changed)), "{result:?}");
        assert!(!folder.path().join("blobs").exists());
    }

    /// Content that cannot be read.
    #[derive(Debug)]
    struct Vanished;

    impl ReadAt for Vanished {
        fn size(&self) -> u64 {
            100_000
        }

        fn read_exact_at(&self, _: u64, _: &mut [u8]) -> io::Result<()> {
            Err(io::Error::new(io::ErrorKind::NotFound, "gone.sys is not there"))
        }
    }

    #[test]
    fn a_source_that_cannot_be_read_is_not_a_failure_of_the_cache() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let settings = form(Codec::Xpress, 4096);
        for result in [
            store.put_blob(&Vanished, &settings),
            store.put_known_blob(&Vanished, Blake3::of(b"known"), &settings),
        ] {
            let Err(StoreError::Source(error)) = result else { panic!("{result:?}") };
            assert_eq!(
                (error.kind(), error.to_string().as_str()),
                (io::ErrorKind::NotFound, "gone.sys is not there")
            );
        }
        assert_eq!(fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_told_with_the_folder_of_the_cache() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut full = fs::File::options().write(true).open("/dev/full").unwrap().into_parts().0;
        let error = store.full(&full.write_all(b"?").unwrap_err());
        let StoreError::Io(error) = error else { panic!("{error}") };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(error.to_string().contains(&folder.path().display().to_string()), "{error}");
    }

    #[test]
    fn content_that_is_not_what_was_promised_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let wrong = Blake3::of(b"something else");
        let result = store.put_known_blob(&content(), wrong, &form(Codec::None, 0));
        assert!(matches!(result, Err(StoreError::Changed)));
        assert!(!folder.path().join("blobs").exists());
    }

    #[test]
    fn what_an_older_encoder_compressed_is_read_but_not_copied_into_an_output() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let settings = form(Codec::Xpress, 4096);
        let blob = store.put_blob(&content(), &settings).unwrap();
        let path = object_files(&store).remove(0);
        let sound = fs::read(&path).unwrap();
        // The same object, as an encoder of version 0 would have written it.
        let mut header = Header::parse(sound[..HEADER].try_into().unwrap()).unwrap();
        header.encoder = 0;
        let old_name = object(&blob.blake3, &settings.suffix_by(0));
        let older = [&header.to_bytes(), &sound[HEADER..]].concat();
        fs::write(store.path_of(&old_name), &older).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(store.read(&blob).unwrap(), content());
        store.resource(&blob, &settings).unwrap();
        assert_eq!(fs::read(&path).unwrap(), sound, "made anew");
        // An old object under the name of the new one is not believed.
        fs::write(&path, &older).unwrap();
        store.resource(&blob, &settings).unwrap();
        assert_eq!(fs::read(&path).unwrap(), sound, "made anew");
    }

    #[test]
    fn a_folder_under_the_name_of_a_blob_is_no_permanent_failure() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let settings = form(Codec::Xpress, 4096);
        let blob = store.put_blob(&content(), &settings).unwrap();
        let path = object_files(&store).remove(0);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(store.read(&blob).unwrap_err().is_lost());
        assert!(store.resource(&blob, &settings).unwrap_err().is_lost());
        assert_eq!(store.put_blob(&content(), &settings).unwrap(), blob);
        assert_eq!(store.read(&blob).unwrap(), content());
    }

    #[test]
    fn all_damaged_blobs_are_found_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let settings = form(Codec::Xpress, 4096);
        for number in 0..20_u8 {
            store.put_blob(&vec![number; 10_000], &settings).unwrap();
        }
        for path in object_files(&store).iter().skip(1) {
            let mut bytes = fs::read(path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(path, bytes).unwrap();
        }
        store.discard_damaged().unwrap();
        assert_eq!(object_files(&store).len(), 1);
    }

    #[test]
    fn a_damaged_blob_whose_content_is_at_hand_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let settings = form(Codec::Xpress, 4096);
        store.put_resource(&content(), &settings).unwrap();
        let path = object_files(&store).remove(0);
        let sound = fs::read(&path).unwrap();
        let mut damaged = sound.clone();
        *damaged.last_mut().unwrap() ^= 1;
        fs::write(&path, damaged).unwrap();
        store.put_resource(&content(), &settings).unwrap();
        assert_eq!(fs::read(&path).unwrap(), sound);
    }
}
