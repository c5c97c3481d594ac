//! Names and symbolic links as the host takes them.
//!
//! Apply and capture must come to the same answer: capture takes a link that says what apply would write for unchanged.

use std::path::{Path, PathBuf};

use crate::{
    base::{name::Name, ntpath::check_component, upcase::upcase},
    format::wim::StreamKind,
    image::{
        offline::Image,
        reparse::{self, NOT_FIXED, Target},
        tree::Inode,
    },
};

/// The longest target of a symbolic link that hosts take, in bytes.
const LONGEST_TARGET: usize = 4095;

/// Where links may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::image) enum Reach {
    /// Nowhere: they are made as what they are on NT, and no text is needed.
    Real,
    /// To places inside the image alone.
    Inside,
    /// Where the image says. Absolute targets are those of the image's root when it was captured so (`rp_fix`) and the link does not say otherwise.
    Anywhere {
        /// The flag of the WIM's header.
        rp_fix: bool,
    },
}

/// What to write into a symbolic link that stands for a junction or link of the image, `depth` folders below its root; `None` when there is no such text.
pub(in crate::image) fn host_target(
    image: &Image,
    inode: &Inode,
    depth: usize,
    reach: Reach,
) -> Option<PathBuf> {
    if reach == Reach::Real {
        return Some(PathBuf::new());
    }
    let reparse = inode.reparse?;
    let stream = inode.streams.iter().find(|stream| stream.kind == StreamKind::Reparse)?;
    if stream.content.size > reparse::MOST {
        return None;
    }
    let data = image.read_blob(&stream.content).ok()?;
    let target = reparse::target(reparse.tag, &data).ok()??;
    let not_fixed = reparse.flags & NOT_FIXED != 0;
    let has_drive = target.text.get(1..2) == Some(":");
    match reach {
        Reach::Real => None,
        // An absolute target that was not made relative to the image leads to a place on the machine that was captured.
        Reach::Inside if !target.relative && not_fixed && has_drive => None,
        Reach::Inside => inside(depth, &target),
        Reach::Anywhere { rp_fix } => anywhere(depth, &target, rp_fix && !not_fixed),
    }
    .filter(|path| path.as_os_str().len() <= LONGEST_TARGET)
}

/// The target as the image has it. Absolute ones that were made relative to the image's root stay that.
fn anywhere(depth: usize, target: &Target, fixed: bool) -> Option<PathBuf> {
    let text = target.text.as_str();
    if is_elsewhere(text) || text.is_empty() {
        return None;
    }
    let is_rooted = text.starts_with('\\');
    if target.relative && !is_rooted {
        return Some(text.replace('\\', "/").into());
    }
    if target.relative || fixed {
        return inside(depth, target);
    }
    let rest = without_drive(text).replace('\\', "/");
    Some(if rest.starts_with('/') { rest.into() } else { format!("/{rest}").into() })
}

/// The target as a relative path that stays inside the image; `None` when it would leave it.
///
/// `..` is taken at the beginning only: behind a name that is a link itself, it would lead elsewhere than it seems.
fn inside(depth: usize, target: &Target) -> Option<PathBuf> {
    let names = |text: &str| -> Vec<String> {
        text.split(['\\', '/'])
            .filter(|name| !name.is_empty() && *name != ".")
            .map(str::to_owned)
            .collect()
    };
    let text = target.text.as_str();
    if is_elsewhere(text) {
        return None;
    }
    let (up, inside) = if target.relative && !text.starts_with('\\') {
        let mut names = names(text);
        let up = names.iter().take_while(|name| *name == "..").count();
        let inside = names.split_off(up);
        (up, inside)
    } else {
        (depth, names(without_drive(text)))
    };
    if up > depth || inside.iter().any(|name| name == ".." || name.contains(':')) {
        return None;
    }
    let path: PathBuf = std::iter::repeat_n("..", up).map(str::to_owned).chain(inside).collect();
    if path.as_os_str().is_empty() { Some(".".into()) } else { Some(path) }
}

/// A network path, a volume by its name, or no path at all.
fn is_elsewhere(text: &str) -> bool {
    text.starts_with(r"\\")
        || text.starts_with("UNC\\")
        || text.starts_with("Volume{")
        || text.contains('\0')
}

fn without_drive(text: &str) -> &str {
    match text.as_bytes() {
        [letter, b':', ..] if letter.is_ascii_alphabetic() => &text[2..],
        _ => text,
    }
}

/// The name as the host takes it; `None` when it would be something else than a name there.
pub(in crate::image) fn host_name(name: &Name) -> Option<String> {
    let text = name.to_text()?;
    let is_plain =
        !text.is_empty() && text != "." && text != ".." && !text.contains(['/', '\0', '\\']);
    let fits = text.len() <= 255;
    // Windows itself reads more into names than Unix does.
    let is_windows_name = !cfg!(windows) || check_component(&text).is_ok();
    (is_plain && fits && is_windows_name).then_some(text)
}

/// A path of the host, the same for two that would be one file there when it takes names that differ in case alone for one.
pub(in crate::image) fn folded(path: &Path) -> PathBuf {
    let text = path.to_string_lossy();
    let folded: Vec<u16> = text.encode_utf16().map(upcase).collect();
    String::from_utf16_lossy(&folded).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symlink(text: &str, relative: bool) -> Target {
        Target { text: text.to_owned(), relative }
    }

    #[test]
    fn links_stay_inside_or_are_left_out() {
        let cases = [
            (2, symlink(r"..\c", true), Some("../c")),
            (2, symlink(r"c\d", true), Some("c/d")),
            (2, symlink(r"..\..\..\c", true), None),
            (2, symlink(r"x\..\c", true), None),
            (2, symlink(r"x\..\..\..\..\c", true), None),
            (2, symlink(r"C:\Users", false), Some("../../Users")),
            (0, symlink(r"C:\Users", false), Some("Users")),
            (0, symlink(r"\Users", true), Some("Users")),
            (0, symlink(r"C:\", false), Some(".")),
            (0, symlink(r"C:\..\etc", false), None),
            (0, symlink(r"c:d", true), None),
            (0, symlink(r"UNC\server\share", false), None),
            (0, symlink("Volume{1}\\x", false), None),
        ];
        for (depth, target, expected) in cases {
            assert_eq!(inside(depth, &target), expected.map(PathBuf::from), "{depth} {target:?}");
        }
    }

    #[test]
    fn a_whole_image_has_its_links_as_they_are() {
        let cases = [
            (1, symlink(r"..\..\c", true), false, Some("../../c")),
            (1, symlink(r"x\..\c", true), true, Some("x/../c")),
            (1, symlink(r"C:\Users", false), true, Some("../Users")),
            (1, symlink(r"C:\Users", false), false, Some("/Users")),
            (1, symlink(r"\Users", true), false, Some("../Users")),
            (1, symlink(r"C:\..\etc", false), true, None),
            (1, symlink(r"\\server\share", false), false, None),
            (1, symlink("", true), false, None),
        ];
        for (depth, target, fixed, expected) in cases {
            let found = anywhere(depth, &target, fixed);
            assert_eq!(found, expected.map(PathBuf::from), "{depth} {target:?}");
        }
    }

    #[test]
    fn names_that_are_more_than_names_are_refused() {
        for bad in ["..", ".", "a/b", "a\\b", "", "nul\0"] {
            assert_eq!(host_name(&Name::from(bad)), None, "{bad:?}");
        }
        assert_eq!(host_name(&Name::from("é.txt")), Some("é.txt".to_owned()));
        assert_eq!(host_name(&Name::from_units([0xd800])), None);
    }
}
