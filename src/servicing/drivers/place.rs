//! Places in Windows that INFs name by number (DIRIDs), and where the driver store keeps things.
//!
//! Source: `facts/inf.md` (files), `facts/drivers.md` E. Numbers from 16384 on are CSIDL + 16384.

use crate::{
    base::{
        name::Name,
        ntpath::{NtPath, check_component},
    },
    format::inf::{Destination, InfArchitecture},
    image::Image,
};

/// DIRID of the package's own folder in the store.
pub(super) const STORE: u32 = 13;

/// The folder of a DIRID below the image's root; the Windows folder is written `*`.
fn folder(dirid: u32, architecture: InfArchitecture) -> Option<&'static str> {
    let wide = matches!(architecture, InfArchitecture::Amd64 | InfArchitecture::Arm64);
    Some(match dirid {
        10 => "*",
        11 => r"*\System32",
        12 => r"*\System32\drivers",
        17 => r"*\INF",
        18 => r"*\Help",
        20 => r"*\Fonts",
        23 => r"*\System32\spool\drivers\color",
        24 | 30 => "",
        50 => r"*\System",
        16419 => "ProgramData",
        16422 => "Program Files",
        16425 if wide => r"*\SysWOW64",
        16425 => r"*\System32",
        16426 if wide => "Program Files (x86)",
        16426 => "Program Files",
        16427 => r"Program Files\Common Files",
        16428 if wide => r"Program Files (x86)\Common Files",
        16428 => r"Program Files\Common Files",
        _ => return None,
    })
}

/// The names of a relative path with backslashes; `None` when one of them cannot be a file name.
pub(super) fn names(path: &str) -> Option<Vec<Name>> {
    path.split(['\\', '/'])
        .filter(|part| !part.is_empty())
        .map(|part| check_component(part).is_ok().then(|| Name::from(part)))
        .collect()
}

/// Where `destination` leads to in the image; `package` is the folder in the store. `None` for a place that is not known.
pub(super) fn path(
    image: &Image,
    destination: &Destination,
    package: &str,
    architecture: InfArchitecture,
) -> Option<NtPath> {
    let below = names(&destination.path)?;
    let mut all = match destination.dirid {
        STORE => store(image, package).names().to_vec(),
        dirid => folder(dirid, architecture)?
            .split('\\')
            .filter(|part| !part.is_empty())
            .map(|part| if part == "*" { image.system_root() } else { Name::from(part) })
            .collect(),
    };
    all.extend(below);
    Some(NtPath::from_names(all))
}

/// The package's folder in the store.
pub(super) fn store(image: &Image, package: &str) -> NtPath {
    below_windows(image, &["System32", "DriverStore", "FileRepository", package])
}

/// A published INF: `Windows\INF\oem3.inf`.
pub(super) fn published(image: &Image, inf: &str) -> NtPath {
    below_windows(image, &["INF", inf])
}

/// The catalog of a published INF, where the system looks for catalogs of drivers.
pub(super) fn catalog(image: &Image, inf: &str) -> NtPath {
    let name = format!("{}.cat", inf.strip_suffix(".inf").unwrap_or(inf));
    below_windows(image, &["System32", "CatRoot", "{F750E6C3-38EE-11D1-85E5-00C04FC295EE}", &name])
}

/// A path below the Windows folder.
pub(super) fn below_windows(image: &Image, parts: &[&str]) -> NtPath {
    let names = parts.iter().map(|part| Name::from(*part));
    NtPath::from_names(std::iter::once(image.system_root()).chain(names).collect())
}

/// A destination as services and `PnpLockdownFiles` write it, below the Windows folder: `System32\drivers\x.sys`; `None` when it lies elsewhere.
pub(super) fn below_system_root(
    destination: &Destination,
    package: &str,
    architecture: InfArchitecture,
) -> Option<String> {
    names(&destination.path)?;
    if destination.dirid == STORE {
        return Some(format!(
            r"System32\DriverStore\FileRepository\{package}\{}",
            destination.path
        ));
    }
    let folder = folder(destination.dirid, architecture)?;
    let folder = folder.strip_prefix('*')?.trim_start_matches('\\');
    Some(if folder.is_empty() {
        destination.path.clone()
    } else {
        format!(r"{folder}\{}", destination.path)
    })
}

/// Why a file cannot go to `destination`; `None` when it can.
pub(super) fn refused(destination: &Destination) -> Option<String> {
    let Destination { dirid, path } = destination;
    if *dirid != STORE && folder(*dirid, InfArchitecture::Amd64).is_none() {
        return Some(format!("the place with the number {dirid}"));
    }
    if names(path).is_none_or(|names| names.is_empty()) {
        return Some(format!("a file called `{path}`"));
    }
    let below = folder(*dirid, InfArchitecture::Amd64).unwrap_or_default();
    let whole = format!(r"{below}\{path}").to_lowercase();
    let guarded =
        [r"*\system32\config\", r"*\inf\oem", r"*\system32\driverstore\", r"*\system32\catroot"];
    (*dirid != STORE && guarded.iter().any(|guarded| whole.starts_with(guarded))).then(|| {
        format!("a file in a place of the system's own: {}", whole.trim_start_matches(r"*\"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(dirid: u32, path: &str) -> Option<String> {
        let destination = Destination { dirid, path: path.to_owned() };
        below_system_root(&destination, "x.inf_amd64_0", InfArchitecture::Amd64)
    }

    #[test]
    fn numbers_lead_to_folders() {
        assert_eq!(text(12, "x.sys").as_deref(), Some(r"System32\drivers\x.sys"));
        assert_eq!(text(10, "x.dll").as_deref(), Some("x.dll"));
        assert_eq!(
            text(13, "x.sys").as_deref(),
            Some(r"System32\DriverStore\FileRepository\x.inf_amd64_0\x.sys")
        );
        assert_eq!(text(24, "x.sys"), None, "not below Windows");
        assert_eq!(text(66000, "x.dll"), None, "printers");
        assert_eq!(text(12, r"..\x.sys"), None);
        let refusal = |dirid, path: &str| refused(&Destination { dirid, path: path.to_owned() });
        assert_eq!(refusal(12, "x.sys"), None);
        assert!(refusal(66000, "x.sys").is_some_and(|text| text.contains("66000")));
        assert!(refusal(11, r"Config\SYSTEM").is_some() && refusal(10, r"INF\oem3.inf").is_some());
        assert!(refusal(11, "aux.sys").is_some());
        assert!(names(r"a\..\b").is_none() && names(r"a\b").is_some());
    }
}
