//! Files: where they lie in the package and where they go.
//!
//! `[SourceDisksFiles]` (that of the architecture first) gives a file its disk and folder, `[SourceDisksNames]` the disk's folder; a file that is not listed
//! lies beside the INF. `[DestinationDirs]` gives a copy section its folder. Source: `facts/inf.md`.

use std::collections::HashMap;

use super::document::{Inf, Line, Section, fold};
use super::error::{InfCause, InfError};
use super::model::{Destination, FileCopy, InfArchitecture, PackageFile};
use super::strings::{Strings, number_of, number32};

/// The sections of one INF that say where files are and go, by folded name.
#[derive(Debug)]
pub(super) struct Places<'a> {
    files: HashMap<String, Line<'a>>,
    disks: HashMap<String, Line<'a>>,
    folders: HashMap<String, Line<'a>>,
    /// `LayoutFile` of `[Version]`, lower case: files that are not listed are Windows' own.
    layout: Option<String>,
}

/// A copy, the line that asks for it, and the INF of Windows whose file it is (`None`: the package's).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Copied {
    pub(super) copy: FileCopy,
    pub(super) line: u32,
    pub(super) windows: Option<String>,
}

/// The lines of the sections `names`, by key; the earlier section and the earlier line win.
fn by_key<'a>(inf: &'a Inf, strings: &Strings<'a>, names: [&str; 2]) -> HashMap<String, Line<'a>> {
    let mut found = HashMap::new();
    for line in
        names.iter().filter_map(|name| inf.section(name)).flat_map(|section| section.lines())
    {
        if let Some(key) = line.key() {
            found.entry(fold(&strings.expand(key))).or_insert(line);
        }
    }
    found
}

impl<'a> Places<'a> {
    pub(super) fn new(inf: &'a Inf, strings: &Strings<'a>, architecture: InfArchitecture) -> Self {
        let name = architecture.name();
        let files = format!("SourceDisksFiles.{name}");
        let disks = format!("SourceDisksNames.{name}");
        Self {
            files: by_key(inf, strings, [&files, "SourceDisksFiles"]),
            disks: by_key(inf, strings, [&disks, "SourceDisksNames"]),
            folders: by_key(inf, strings, ["DestinationDirs", ""]),
            layout: inf
                .section("Version")
                .and_then(|section| section.find("LayoutFile"))
                .map(|line| strings.expand(line.value(0)).to_lowercase())
                .filter(|name| !name.is_empty()),
        }
    }

    /// The path in the package of the file called `name`; `line` is the one that names it.
    pub(super) fn source(
        &self,
        strings: &Strings<'a>,
        name: &str,
        line: &Line<'a>,
    ) -> Result<String, InfError> {
        let mut path = String::new();
        let mut at = *line;
        if let Some(listed) = self.files.get(&fold(name)) {
            at = *listed;
            let disk = self.disks.get(&fold(&strings.expand(listed.value(0))));
            path.push_str(&disk.map(|disk| strings.expand(disk.value(3))).unwrap_or_default());
            path.push('\\');
            path.push_str(&strings.expand(listed.value(1)));
            path.push('\\');
        }
        path.push_str(name);
        package_path(&path).map_err(|why| at.error(InfCause::Path { path: path.clone(), why }))
    }

    /// The folder for the files of `section`; `None` means the default (files named by `@`).
    pub(super) fn folder(
        &self,
        strings: &Strings<'a>,
        section: Option<&str>,
        line: &Line<'a>,
    ) -> Result<Destination, InfError> {
        let named = section.and_then(|section| self.folders.get(&fold(section)));
        let Some(found) = named.or_else(|| self.folders.get("DEFAULTDESTDIR")) else {
            let what = section.unwrap_or("CopyFiles = @file").to_owned();
            return Err(line.error(InfCause::Destination(what)));
        };
        let text = strings.expand(found.value(0));
        let dirid =
            number32(&text).or_else(|| number_of(text.trim_matches('%'))).ok_or_else(|| {
                found.error(InfCause::Number { what: "the number of a folder", text: text.clone() })
            })?;
        Ok(Destination { dirid, path: strings.expand(found.value(1)) })
    }

    /// The copies of one copy section.
    pub(super) fn copies(
        &self,
        strings: &Strings<'a>,
        section: Section<'a>,
    ) -> Result<Vec<Copied>, InfError> {
        let mut copies = Vec::new();
        for line in section.lines() {
            // `name = ...` has no meaning in a copy section.
            let to = strings.expand(line.value(0));
            if to.is_empty() || line.key().is_some() {
                continue;
            }
            let from = strings.expand(line.value(1));
            let flags = number32(&strings.expand(line.value(3))).unwrap_or(0);
            let from = if from.is_empty() { to.clone() } else { from };
            let folder = self.folder(strings, Some(section.name()), &line)?;
            copies.push(self.copy(strings, folder, &to, &from, flags, &line)?);
        }
        Ok(copies)
    }

    /// The copy of the package's file `from` to `folder` under the name `to`.
    pub(super) fn copy(
        &self,
        strings: &Strings<'a>,
        folder: Destination,
        to: &str,
        from: &str,
        flags: u32,
        line: &Line<'a>,
    ) -> Result<Copied, InfError> {
        let path = format!("{}\\{to}", folder.path);
        let path = package_path(&path)
            .map_err(|why| line.error(InfCause::Path { path: path.clone(), why }))?;
        let to = Destination { dirid: folder.dirid, path };
        let listed = self.files.contains_key(&fold(from));
        Ok(Copied {
            copy: FileCopy { to, from: self.source(strings, from, line)?, flags },
            line: line.number(),
            windows: self.layout.clone().filter(|_| !listed),
        })
    }

    /// Every file that `[SourceDisksFiles]` lists, sorted by path.
    pub(super) fn listed(&self, strings: &Strings<'a>) -> Result<Vec<PackageFile>, InfError> {
        let mut files = Vec::with_capacity(self.files.len());
        for line in self.files.values() {
            let name = strings.expand(line.key().unwrap_or_default());
            files.push(PackageFile {
                path: self.source(strings, &name, line)?,
                line: line.number(),
            });
        }
        // Two lines may give one path (`a` of the disk `x\`, `x\a`): the map's order must not show.
        files.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
        files.dedup_by(|b, a| a.path == b.path);
        Ok(files)
    }
}

/// `path` with single backslashes, without leading and trailing ones and without `.`; or why it cannot be a path below a folder.
pub(super) fn package_path(path: &str) -> Result<String, &'static str> {
    if path.starts_with("\\\\?") || path.starts_with("\\\\.") {
        return Err("is a device path");
    }
    let mut parts = Vec::new();
    for part in path.split(['\\', '/']) {
        if part == ".." || part.trim_end_matches([' ', '.']).is_empty() && part.len() > 1 {
            return Err("leads out of its folder");
        }
        if part.contains(':') {
            return Err("holds a colon: a drive or a stream cannot be named");
        }
        if part.chars().any(|c| c < ' ' || "*?\"<>|".contains(c)) {
            return Err("holds a character that Windows does not allow in a file name");
        }
        if !part.is_empty() && part != "." {
            parts.push(part);
        }
    }
    if parts.is_empty() { Err("names no file") } else { Ok(parts.join("\\")) }
}

/// `%12%\x.sys` taken apart, tokens already expanded; `None` when it does not begin with a folder number.
pub(super) fn destination(text: &str) -> Option<Result<Destination, &'static str>> {
    let (number, path) = text.strip_prefix('%')?.split_once('%')?;
    let dirid = number_of(number)?;
    Some(package_path(path).map(|path| Destination { dirid, path }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_the_package() {
        for (path, want) in
            [("\\\\x86\\.\\a.sys", "x86\\a.sys"), ("a/b", "a\\b"), ("a", "a"), ("x..y", "x..y")]
        {
            assert_eq!(package_path(path).as_deref(), Ok(want));
        }
        for path in
            ["..\\a", "a\\..\\b", "C:\\x", "a:b", "", "\\", "a\\.. \\b", "\\\\?\\x", "a*", "a\u{1}"]
        {
            assert!(package_path(path).is_err(), "{path}");
        }
    }

    #[test]
    fn disks_and_folders_are_found() {
        let text = "[SourceDisksNames]\n1=%d%,,,\\base\n[SourceDisksNames.amd64]\n2=,,,\n[SourceDisksFiles]\na.sys=1,sub\nb.sys=1\n\
            [SourceDisksFiles.amd64]\na.sys=2,x64\n[DestinationDirs]\nDefaultDestDir=11\nC=12,deep\n[C]\na.sys,,,2\nnew.sys,b.sys\nc.sys\n";
        let inf = Inf::parse(text.as_bytes()).unwrap();
        let strings = Strings::new(&inf, 0x409);
        let places = Places::new(&inf, &strings, InfArchitecture::Amd64);
        let copies = places.copies(&strings, inf.section("c").unwrap()).unwrap();
        let seen: Vec<String> = copies
            .iter()
            .map(|Copied { copy: c, line, .. }| {
                format!("{line} {} -> {} {} {}", c.from, c.to.dirid, c.to.path, c.flags)
            })
            .collect();
        assert_eq!(
            seen,
            [
                "14 x64\\a.sys -> 12 deep\\a.sys 2",
                "15 base\\b.sys -> 12 deep\\new.sys 0",
                "16 c.sys -> 12 deep\\c.sys 0"
            ]
        );
        let listed: Vec<String> =
            places.listed(&strings).unwrap().into_iter().map(|f| f.path).collect();
        assert_eq!(listed, ["base\\b.sys", "x64\\a.sys"]);
    }

    #[test]
    fn programs_of_services() {
        let good = destination("%12%\\x.sys").unwrap().unwrap();
        assert_eq!((good.dirid, good.path.as_str()), (12, "x.sys"));
        assert!(destination("system32\\x.sys").is_none());
        assert!(destination("%x%\\x.sys").is_none());
        assert!(destination("%12%\\..\\x.sys").unwrap().is_err());
    }
}
