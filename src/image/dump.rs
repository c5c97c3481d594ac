//! The tree as text: one line for each name and stream, sorted as NT sorts; for tests, `inspect` and comparisons.
//!
//! ```text
//! \Windows\notepad.exe  a 0x20  c 2026-11-01T00:00:00Z  w 2026-11-01T00:00:00Z  size 12  sha1 2fd4...  links 2  short NOTEPA~1.EXE  sddl O:SYD:...
//!     :Zone.Identifier  size 26  sha1 ...
//! ```

use std::fmt::Write as _;

use crate::format::{
    security::{SecurityDescriptor, to_sddl},
    wim::StreamKind,
};

use super::tree::{NodeId, Tree};

/// The whole tree as text.
#[must_use]
pub fn dump(tree: &Tree) -> String {
    let mut text = String::new();
    let mut waiting = vec![tree.root()];
    while let Some(id) = waiting.pop() {
        line(tree, id, &mut text);
        waiting.extend(tree.sorted_children(id).iter().rev());
    }
    text
}

fn line(tree: &Tree, id: NodeId, text: &mut String) {
    let (node, inode) = (tree.node(id), tree.inode(id));
    // Writing into a String cannot fail.
    let _ = write!(
        text,
        "{}  a {:#x}  c {}  w {}",
        tree.path_of(id),
        inode.attributes,
        inode.creation_time,
        inode.last_write_time
    );
    if !inode.is_directory() {
        let data = inode.data();
        let _ = write!(text, "  size {}", data.size);
        if !data.sha1.is_zero() {
            let _ = write!(text, "  sha1 {}", data.sha1);
        }
    }
    if tree.links(id) > 1 {
        let _ = write!(text, "  links {}", tree.links(id));
    }
    if !node.short_name.is_empty() {
        let _ = write!(text, "  short {}", node.short_name);
    }
    if let Some(reparse) = inode.reparse {
        let _ = write!(text, "  reparse {:#010x} flags {}", reparse.tag, reparse.flags);
    }
    if let Some(bytes) = tree.security_of(id) {
        match SecurityDescriptor::parse(bytes) {
            Ok(descriptor) => {
                let _ = write!(text, "  sddl {}", to_sddl(&descriptor));
            }
            Err(error) => {
                let _ = write!(text, "  sddl ? {error}");
            }
        }
    }
    text.push('\n');
    for stream in inode.streams.iter().filter(|stream| stream.kind != StreamKind::Data) {
        let name = match stream.kind {
            StreamKind::Named => stream.name.to_string(),
            StreamKind::Reparse => "(reparse data)".to_owned(),
            StreamKind::Efs => "(encrypted data)".to_owned(),
            StreamKind::Data => String::new(),
        };
        let (size, sha1) = (stream.content.size, stream.content.sha1);
        let _ = writeln!(text, "    :{name}  size {size}  sha1 {sha1}");
    }
}
