//! What NT knows of files, set on a volume that ntfs-3g has mounted ([`crate::image::host`] tells how).
//!
//! Contents, folders and hard links are there already. Links are made here: as empty files and folders that get the reparse data.

use std::path::{Path, PathBuf};

use super::{
    extract::ExtractError,
    losses::{Loss, Losses},
    plan::Plan,
};
use crate::{
    base::bytes::Writer,
    format::wim::StreamKind,
    image::{
        host::ntfs::{
            self, ATTRIBUTES, Attributes, EXTENDED, ITEM_EXTENDED, ITEM_OBJECT_ID, OBJECT_ID,
            REPARSE, SECURITY, SHORT_NAME, STREAM_PREFIX, TIMES,
        },
        offline::Image,
        tree::{Inode, NodeId},
    },
};

/// Sets everything on what was written. `paths` has the path of each entry that is there, in the order of the tree. What the volume refuses is among the losses.
///
/// # Errors
/// When content cannot be read from the image.
pub(super) fn set_all(
    image: &Image,
    paths: &[Option<PathBuf>],
    volume: &dyn Attributes,
    losses: &mut Losses,
) -> Result<(), ExtractError> {
    let tree = image.tree();
    let nodes: Vec<NodeId> = tree.walk().collect();
    // Entries before their folders: what is done to them must not move the folder's times.
    for (&id, path) in nodes.iter().zip(paths).rev() {
        let Some(path) = path else { continue };
        let (node, inode) = (tree.node(id), tree.inode(id));
        let mut setter = Setter { volume, path, losses, id, image };
        if let Some(name) = node.short_name.to_text().filter(|name| !name.is_empty()) {
            setter.set(SHORT_NAME, name.as_bytes(), Loss::ShortName);
        }
        setter.inode(inode)?;
    }
    Ok(())
}

/// The path of each entry that the plan writes.
pub(super) fn paths(plan: &Plan) -> Vec<Option<PathBuf>> {
    let mut paths = vec![None; plan.placed.len()];
    for folder in &plan.folders {
        paths[folder.entry] = Some(folder.path.clone());
    }
    for link in &plan.links {
        paths[link.entry] = Some(link.path.clone());
    }
    for file in &plan.files {
        for (path, &entry) in file.paths.iter().zip(&file.entries) {
            paths[entry] = Some(path.clone());
        }
    }
    paths
}

struct Setter<'a> {
    volume: &'a dyn Attributes,
    path: &'a Path,
    losses: &'a mut Losses,
    id: NodeId,
    image: &'a Image,
}

impl Setter<'_> {
    fn set(&mut self, name: &str, value: &[u8], loss: Loss) {
        if let Err(error) = self.volume.set(self.path, name, value) {
            tracing::debug!("{}: {name}: {error}", self.path.display());
            let path = self.image.tree().path_of(self.id).to_string();
            let path = match name.strip_prefix(STREAM_PREFIX) {
                Some(stream) => format!("{path}:{stream}"),
                None => path,
            };
            self.losses.add(loss, path);
        }
    }

    fn inode(&mut self, inode: &Inode) -> Result<(), ExtractError> {
        for stream in inode.streams.iter().filter(|stream| stream.kind == StreamKind::Named) {
            let name = format!("{STREAM_PREFIX}{}", stream.name);
            let content = match stream.content.size {
                0 => Vec::new(),
                _ => self.image.read_blob(&stream.content)?,
            };
            self.set(&name, &content, Loss::Stream);
        }
        let items = &inode.tagged_items;
        if let Some(id) = ntfs::tagged_item(items, ITEM_OBJECT_ID) {
            self.set(OBJECT_ID, id, Loss::TaggedItems);
        }
        let extended = ntfs::tagged_item(items, ITEM_EXTENDED);
        if let Some(Ok(extended)) = extended.map(ntfs::to_nt_extended) {
            self.set(EXTENDED, &extended, Loss::TaggedItems);
        }
        if let Some(reparse) = inode.reparse {
            let stream = inode.streams.iter().find(|stream| stream.kind == StreamKind::Reparse);
            let data = match stream {
                Some(stream) if stream.content.size > 0 => self.image.read_blob(&stream.content)?,
                _ => Vec::new(),
            };
            let mut writer = Writer::new();
            writer.u32(reparse.tag).u16(u16::try_from(data.len()).unwrap_or(u16::MAX));
            writer.u16(reparse.reserved).bytes(&data);
            self.set(REPARSE, &writer.data, Loss::Reparse);
        }
        if let Some(security) = inode.security {
            let descriptor = self.image.tree().security(security);
            self.set(SECURITY, descriptor, Loss::Security);
        }
        self.set(ATTRIBUTES, &inode.attributes.to_be_bytes(), Loss::Attributes);
        let times =
            ntfs::times_value(inode.creation_time, inode.last_write_time, inode.last_access_time);
        self.volume.set(self.path, TIMES, &times).ok();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::{filetime::FileTime, name::Name},
        image::{
            content::{BlobLocation, BlobRef},
            host::ntfs::Fake,
            tree::FileStream,
        },
    };

    fn stream(image: &mut Image, name: &str, bytes: Vec<u8>) -> FileStream {
        let content = crate::image::edit::ref_of(&bytes);
        image.blobs.insert(content.sha1, BlobLocation::Memory(bytes.into()));
        FileStream { kind: StreamKind::Named, name: Name::from(name), content }
    }

    #[test]
    fn everything_is_set_and_what_is_refused_is_told() {
        let mut image = Image::empty(FileTime(1));
        let root = image.tree.root();
        let mut inode = Inode::new(0x27, None, FileTime(5));
        inode.security = Some(image.tree.security_id(b"descriptor"));
        inode.streams = vec![
            stream(&mut image, "small", vec![1]),
            stream(&mut image, "large", vec![2; 70_000]),
            FileStream { content: BlobRef::default(), ..stream(&mut image, "empty", vec![3]) },
        ];
        inode.tagged_items = ntfs::tagged(ITEM_OBJECT_ID, &[7; 16]);
        let id = image.tree.append(root, Name::from("f"), inode);
        image.tree.set_short_name(id, Name::from("F~1"));
        let (volume, mut losses) = (Fake::default(), Losses::default());
        let paths = [Some(PathBuf::new()), Some(PathBuf::from("f"))];
        set_all(&image, &paths, &volume, &mut losses).unwrap();
        assert_eq!(losses.of(Loss::Stream), [r"\f:large"]);
        let get = |name| volume.get(Path::new("f"), name).unwrap();
        assert_eq!(get(SECURITY), Some(b"descriptor".to_vec()));
        assert_eq!(get(ATTRIBUTES), Some(vec![0, 0, 0, 0x27]));
        assert_eq!(get(SHORT_NAME), Some(b"F~1".to_vec()));
        assert_eq!(get("user.empty"), Some(vec![]));
        assert_eq!(get(OBJECT_ID), Some(vec![7; 16]));
        assert_eq!(ntfs::times(&get(TIMES).unwrap()), Some([FileTime(5); 3]));
    }
}
