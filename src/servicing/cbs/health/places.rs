//! Where a manifest's paths lie in an image.

use crate::{
    base::{name::Name, ntpath::NtPath},
    image::Image,
};

/// What macros stand for, below the image's root; `Windows` stands for the folder that holds Windows.
const MACROS: &[(&str, &str)] = &[
    ("runtime.commonfiles", r"Program Files\Common Files"),
    ("runtime.drivers", r"Windows\System32\drivers"),
    ("runtime.fonts", r"Windows\Fonts"),
    ("runtime.help", r"Windows\Help"),
    ("runtime.inf", r"Windows\INF"),
    ("runtime.programdata", "ProgramData"),
    ("runtime.programfiles", "Program Files"),
    ("runtime.programfilesx86", "Program Files (x86)"),
    ("runtime.public", r"Users\Public"),
    ("runtime.startmenu", r"ProgramData\Microsoft\Windows\Start Menu"),
    ("runtime.startup", r"ProgramData\Microsoft\Windows\Start Menu\Programs\Startup"),
    ("runtime.system32", r"Windows\System32"),
    ("runtime.systemroot", "Windows"),
    ("runtime.userprofile", r"Users\Default"),
    ("runtime.wbem", r"Windows\System32\wbem"),
    ("runtime.windows", "Windows"),
];

/// What they stand for in components for 32-bit programs of a 64-bit Windows.
const MACROS_32: &[(&str, &str)] = &[
    ("runtime.commonfiles", r"Program Files (x86)\Common Files"),
    ("runtime.programfiles", "Program Files (x86)"),
    ("runtime.system32", r"Windows\SysWOW64"),
    ("runtime.wbem", r"Windows\SysWOW64\wbem"),
];

/// The place that a path of a manifest means; `None` when it uses something that is not known here.
pub(super) fn resolve(image: &Image, text: &str, is_32: bool) -> Option<NtPath> {
    let rest = text.strip_prefix("$(")?;
    let (name, rest) = rest.split_once(')')?;
    let name = name.to_ascii_lowercase();
    if rest.contains("$(") || rest.contains('/') {
        return None;
    }
    let find = |table: &'static [(&str, &'static str)]| {
        table.iter().find(|(known, _)| *known == name).map(|(_, path)| *path)
    };
    let start = is_32.then(|| find(MACROS_32)).flatten().or_else(|| find(MACROS))?;
    let mut names = Vec::new();
    for part in start.split('\\').chain(rest.split('\\')) {
        match part {
            "" | "." => {}
            ".." => return None,
            "Windows" if names.is_empty() => names.push(image.system_root()),
            part => names.push(Name::from(part)),
        }
    }
    Some(NtPath::from_names(names))
}

/// A path with names of a manifest below it; `None` when they lead out of it.
pub(super) fn below(folder: NtPath, text: &str) -> Option<NtPath> {
    let mut names = folder.names().to_vec();
    for part in text.split(['\\', '/']) {
        match part {
            "" | "." => {}
            ".." => return None,
            part => names.push(Name::from(part)),
        }
    }
    Some(NtPath::from_names(names))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::filetime::FileTime;

    #[test]
    fn macros_are_found_without_case_and_by_architecture() {
        let image = Image::empty(FileTime(0));
        let shown = |text: &str, is_32| resolve(&image, text, is_32).map(|path| path.to_string());
        let system = shown(r"$(runtime.System32)\en-US\", false);
        assert_eq!(system.as_deref(), Some(r"\Windows\System32\en-US"));
        assert_eq!(shown("$(runtime.system32)", true).as_deref(), Some(r"\Windows\SysWOW64"));
        assert_eq!(shown("$(runtime.windows)", true).as_deref(), Some(r"\Windows"));
        for unknown in ["$(runtime.moon)", r"C:\Windows", r"$(runtime.windows)\..\x", "$(x"] {
            assert_eq!(shown(unknown, false), None, "{unknown}");
        }
        assert_eq!(below(NtPath::root(), r"..\x"), None);
    }
}
