//! The files that steps put in place and that are there in the end.

use std::collections::BTreeMap;

use super::model::AddedFile;
use crate::{
    base::{
        digest::{Blake3, Sha1},
        name::Name,
        ntpath::NtPath,
    },
    image::{Change, Changeset, changeset::FileContent},
};

/// A path as the volume compares it.
type Folded = Vec<Name>;

/// The files that the steps of an image put in place, by path: what was put away again by a later step is not among them, what was moved is where it is
/// now. Hives are not, unless a step put a whole one in place: the build writes them.
///
/// `steps` are names and changesets in the order of execution; of a step that changed nothing there is none.
#[must_use]
pub fn added_files<'a>(
    steps: impl IntoIterator<Item = (&'a str, &'a Changeset)>,
) -> Vec<AddedFile> {
    let mut files: BTreeMap<Folded, AddedFile> = BTreeMap::new();
    for (step, changeset) in steps {
        for change in &changeset.0 {
            apply(&mut files, step, change);
        }
    }
    let mut files: Vec<AddedFile> = files.into_values().collect();
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

fn apply(files: &mut BTreeMap<Folded, AddedFile>, step: &str, change: &Change) {
    match change {
        Change::PutFile { path, content, .. } => {
            files.insert(folded(path), added(step, path, content));
        }
        Change::Link { file, path } => {
            let known = files.get(&folded(file)).cloned();
            // A second name of a file of the base adds no content.
            let of_base = || AddedFile { link_to: Some(file.to_string()), ..AddedFile::default() };
            let known = known.unwrap_or_else(of_base);
            let link = AddedFile { path: path.to_string(), step: step.to_owned(), ..known };
            files.insert(folded(path), link);
        }
        Change::Remove { path } => {
            take(files, &folded(path));
        }
        Change::Rename { from, to } => {
            let (from, to) = (folded(from), to.names());
            for (path, mut file) in take(files, &from) {
                let place = to.iter().chain(&path[from.len()..]).cloned().collect();
                // What lies below a folder keeps its own names, which `path` has folded.
                let below = file.path.split('\\').skip(from.len() + 1).map(Name::from);
                file.path =
                    NtPath::from_names(to.iter().cloned().chain(below).collect()).to_string();
                files.insert(folded(&NtPath::from_names(place)), file);
            }
        }
        Change::MakeDirectory { .. }
        | Change::Separate { .. }
        | Change::SetAttributes { .. }
        | Change::SetSecurity { .. }
        | Change::CreateKey { .. }
        | Change::SetKeySecurity { .. }
        | Change::SetKeyTime { .. }
        | Change::DeleteKey { .. }
        | Change::SetValue { .. }
        | Change::SetSecret { .. }
        | Change::DeleteValue { .. } => {}
    }
}

fn folded(path: &NtPath) -> Folded {
    path.names().iter().map(Name::to_upcase).collect()
}

/// Takes out what is at `path` and below it. It lies in one piece, as a list that begins with another one comes right behind it.
fn take(files: &mut BTreeMap<Folded, AddedFile>, path: &Folded) -> Vec<(Folded, AddedFile)> {
    let range = files.range(path.clone()..).take_while(|(key, _)| key.starts_with(path));
    let keys: Vec<Folded> = range.map(|(key, _)| key.clone()).collect();
    keys.into_iter().filter_map(|key| files.remove_entry(&key)).collect()
}

fn added(step: &str, path: &NtPath, content: &FileContent) -> AddedFile {
    let known = match content {
        FileContent::Stored(blob) => Some((blob.size, blob.blake3, blob.sha1)),
        FileContent::Inline(bytes) => {
            Some((bytes.len() as u64, Blake3::of(bytes), Sha1::of(bytes)))
        }
        FileContent::Template(_) => None,
    };
    AddedFile {
        path: path.to_string(),
        step: step.to_owned(),
        link_to: None,
        size: known.map(|(size, _, _)| size),
        blake3: known.map(|(_, blake3, _)| blake3.to_hex()),
        sha1: known.map(|(_, _, sha1)| sha1.to_hex()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::{SecretForm, SecretRef, Template};

    fn path(text: &str) -> NtPath {
        NtPath::parse(text).unwrap()
    }

    fn put(at: &str, content: FileContent) -> Change {
        Change::PutFile {
            path: path(at),
            content,
            attributes: 32,
            security: None,
            last_write: None,
        }
    }

    fn inline(at: &str, text: &str) -> Change {
        put(at, FileContent::Inline(text.as_bytes().to_vec()))
    }

    fn told(changes: Vec<Change>) -> Vec<String> {
        let changeset = Changeset(changes);
        let files = added_files([("files.1", &changeset)]);
        files.into_iter().map(|file| format!("{} {:?}", file.path, file.size)).collect()
    }

    #[test]
    fn what_is_there_in_the_end_is_told_once() {
        let changes = vec![
            inline(r"\B\one.txt", "1"),
            inline(r"\b\ONE.txt", "two"),
            inline(r"\C\gone.txt", "gone"),
            inline(r"\C2\stays.txt", "stays"),
            Change::Remove { path: path(r"\c") },
        ];
        assert_eq!(told(changes), [r"\C2\stays.txt Some(5)", r"\b\ONE.txt Some(3)"]);
    }

    #[test]
    fn a_moved_folder_and_a_second_name_are_followed() {
        let changes = vec![
            inline(r"\Old\Sub\A.txt", "1234"),
            Change::Rename { from: path(r"\OLD"), to: path(r"\New\Place") },
            Change::Link { file: path(r"\New\Place\sub\a.txt"), path: path(r"\Link.txt") },
            Change::Link { file: path(r"\Windows\notepad.exe"), path: path(r"\n.exe") },
        ];
        assert_eq!(
            told(changes),
            [r"\Link.txt Some(4)", r"\New\Place\Sub\A.txt Some(4)", r"\n.exe None"]
        );
    }

    #[test]
    fn of_a_file_with_a_secret_neither_size_nor_digest_is_told() {
        let secret = SecretRef::new("PW").unwrap();
        let template = Template::new(secret.placeholder(&SecretForm::Text));
        let changeset = Changeset(vec![put(r"\u.xml", FileContent::Template(template))]);
        let files = added_files([("unattend", &changeset)]);
        assert_eq!((files[0].size, &files[0].blake3, &files[0].sha1), (None, &None, &None));
        assert_eq!(files[0].step, "unattend");
    }
}
