//! From what is asked for to what the image has: links on the way are followed, and for what is nowhere places near it are offered.

use super::place::Target;
use crate::{
    base::{name::Name, ntpath::NtPath},
    format::wim::StreamKind,
    image::{Image, NodeId, RegistryPath, describe::value_name, reparse},
    recipe::finding::nearest,
};

/// As many links are followed on the way to a place.
const LINKS: usize = 16;
/// As many other places are offered for one that is nowhere.
const NEAR: usize = 5;

/// `path` with the links on the way to it followed, where they lead to somewhere in the image; a link at its end is what is asked for.
pub(super) fn followed(path: &NtPath, image: &Image) -> NtPath {
    let tree = image.tree();
    let mut path = path.clone();
    for _ in 0..LINKS {
        let names = path.names();
        let mut node = tree.root();
        let mut next = None;
        for (place, name) in names.iter().enumerate() {
            let Some(child) = tree.child(node, name) else { break };
            let is_last = place + 1 == names.len();
            if let Some(target) = link_target(image, child).filter(|_| !is_last) {
                let folder = if target.relative && !target.text.starts_with('\\') {
                    tree.path_of(node).names().to_vec()
                } else {
                    Vec::new()
                };
                next = below(folder, &target.text, &names[place + 1..]);
                break;
            }
            node = child;
        }
        match next {
            Some(next) => path = next,
            None => break,
        }
    }
    path
}

/// What `text`, a link's target, and `rest` lead to from `folder`.
fn below(mut folder: Vec<Name>, text: &str, rest: &[Name]) -> Option<NtPath> {
    let text = match text.as_bytes() {
        [letter, b':', ..] if letter.is_ascii_alphabetic() => &text[2..],
        _ => text,
    };
    for part in text.split(['\\', '/']) {
        match part {
            "" | "." => {}
            ".." => {
                folder.pop()?;
            }
            name => folder.push(Name::from(name)),
        }
    }
    folder.extend_from_slice(rest);
    Some(NtPath::from_names(folder))
}

/// Where a link leads; `None` for what is none.
fn link_target(image: &Image, node: NodeId) -> Option<reparse::Target> {
    let inode = image.tree().inode(node);
    let tag = inode.reparse.filter(|reparse| reparse::is_link(reparse.tag))?.tag;
    let stream = inode.streams.iter().find(|stream| stream.kind == StreamKind::Reparse)?;
    if stream.content.size > reparse::MOST {
        return None;
    }
    reparse::target(tag, &image.read_blob(&stream.content).ok()?).ok()?
}

/// Places near one that is nowhere: of nearly the same name beside it, or of the same name elsewhere.
pub(super) fn near(target: &Target, image: &mut Image) -> Vec<String> {
    match target {
        Target::File(path) => near_file(path, image),
        Target::Key(path) => near_key(path, None, image),
        Target::Value(path, name) => near_key(path, Some(name), image),
    }
}

fn near_file(path: &NtPath, image: &Image) -> Vec<String> {
    let tree = image.tree();
    let mut found = Vec::new();
    // Beside the first name on the way that is not there.
    let mut node = tree.root();
    for name in path.names() {
        if let Some(next) = tree.child(node, name) {
            node = next;
            continue;
        }
        let names: Vec<String> =
            tree.children(node).iter().map(|id| tree.node(*id).name.to_string()).collect();
        if let Some(near) = nearest(&name.to_string(), names.iter().map(String::as_str)) {
            found.push(tree.path_of(node).join(Name::from(near)).to_string());
        }
        break;
    }
    if let Some(name) = path.file_name() {
        let same = tree.walk().filter(|id| tree.node(*id).name.eq_ignore_case(name));
        found.extend(same.take(NEAR).map(|id| tree.path_of(id).to_string()));
    }
    found.dedup();
    found.truncate(NEAR);
    found
}

fn near_key(path: &RegistryPath, value: Option<&Name>, image: &mut Image) -> Vec<String> {
    let Ok((hive, keys)) = image.resolve(path) else { return Vec::new() };
    let mut here = RegistryPath::from_keys(hive, Vec::new());
    let mut missing = value.cloned();
    for name in &keys {
        let next = here.join(name);
        if !image.registry_key_exists(&next).unwrap_or(false) {
            missing = Some(name.clone());
            break;
        }
        here = next;
    }
    let Some(missing) = missing else { return Vec::new() };
    let keys = image.registry_subkeys(&here).unwrap_or_default();
    let values = image.registry_values(&here).unwrap_or_default();
    let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
    let values: Vec<String> = values.iter().map(|value| value_name(&value.name)).collect();
    let missing = missing.to_string();
    let near =
        |names: &[String]| nearest(&missing, names.iter().map(String::as_str)).map(str::to_owned);
    let mut found: Vec<String> = Vec::new();
    found.extend(near(&keys).map(|name| format!("{here}\\{name}")));
    found.extend(near(&values).map(|name| format!("{here} : {name}")));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_links_target_is_read_from_its_folder_or_from_the_root() {
        let names = |text: &str| NtPath::parse(text).unwrap().names().to_vec();
        let leads = |folder: &str, target: &str, rest: &str| {
            below(names(folder), target, &names(rest)).map(|path| path.to_string())
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(leads("", r"C:\ProgramData", r"a\b"), some(r"\ProgramData\a\b"));
        assert_eq!(leads("Users", r"..\ProgramData", "a"), some(r"\ProgramData\a"));
        assert_eq!(leads("Users", r".\Public", ""), some(r"\Users\Public"));
        assert_eq!(leads("", r"..\x", ""), None);
    }
}
