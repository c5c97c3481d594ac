//! `[Version]`: who made the driver, for which class, how new it is, and its catalog.

use super::document::{Inf, Line, Section};
use super::error::{InfCause, InfError};
use super::model::{InfArchitecture, VersionInfo};
use super::strings::{Strings, number};
use crate::base::guid::Guid;

/// The language in which [`version`] expands strings: US English.
const ENGLISH: u16 = 0x409;

impl InfArchitecture {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::X86, Self::Amd64, Self::Arm, Self::Arm64];

    /// Its name in decorations and section names: `amd64`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::X86 => "x86",
            Self::Amd64 => "amd64",
            Self::Arm => "arm",
            Self::Arm64 => "arm64",
        }
    }
}

/// `[Version]` of `inf`, its strings in English, its catalog for `architecture`.
///
/// A missing class name or provider is empty, a missing or empty `DriverVer` is 1 January 1601, 0.0.0.0 (zero as Windows counts time); [`Inf::defects`]
/// tells them.
///
/// # Errors
///
/// A section name that is not closed; no `[Version]`; a wrong signature; no class GUID; a malformed GUID or `DriverVer`.
pub fn version(inf: &Inf, architecture: InfArchitecture) -> Result<VersionInfo, InfError> {
    inf.check()?;
    version_with(inf, architecture, &Strings::new(inf, ENGLISH))
}

pub(super) fn version_with(
    inf: &Inf,
    architecture: InfArchitecture,
    strings: &Strings<'_>,
) -> Result<VersionInfo, InfError> {
    let section = signed(inf, strings)?;
    let text =
        |key: &str| section.find(key).map(|line| strings.expand(line.value(0))).unwrap_or_default();
    let guid = |key: &'static str| {
        section
            .find(key)
            .map(|line| parse_guid(&line, key, &strings.expand(line.value(0))))
            .transpose()
    };
    let class_guid = guid("ClassGuid")?.ok_or_else(|| {
        let cause = InfCause::MissingEntry { section: "Version".into(), key: "ClassGuid" };
        InfError::new(section.number(), 1, cause)
    })?;
    let (date, version) = match section.find("DriverVer") {
        Some(line) if line.values().any(|value| !value.is_empty()) => {
            driver_version(&line, strings)?
        }
        _ => ((1601, 1, 1), [0; 4]),
    };
    let catalog = [
        format!("CatalogFile.NT{}", architecture.name()),
        "CatalogFile.NT".to_owned(),
        "CatalogFile".to_owned(),
    ]
    .iter()
    .map(|key| text(key))
    .find(|name| !name.is_empty());
    Ok(VersionInfo {
        class: text("Class"),
        class_guid,
        provider: text("Provider"),
        date,
        version,
        catalog,
        extension_id: guid("ExtensionId")?,
        pnp_lockdown: number(&text("PnpLockdown")) == Some(1),
    })
}

/// `[Version]` when its signature is right.
fn signed<'a>(inf: &'a Inf, strings: &Strings<'_>) -> Result<Section<'a>, InfError> {
    let missing = || InfError::whole(InfCause::MissingSection("Version".into()));
    let section = inf.section("Version").ok_or_else(missing)?;
    let Some(line) = section.find("Signature") else {
        let cause = InfCause::MissingEntry { section: "Version".into(), key: "Signature" };
        return Err(InfError::new(section.number(), 1, cause));
    };
    let signature = strings.expand(line.value(0));
    if ["$Windows NT$", "$Chicago$"].iter().any(|known| known.eq_ignore_ascii_case(&signature)) {
        Ok(section)
    } else {
        Err(line.error(InfCause::Signature(signature)))
    }
}

/// `text` as a GUID, for `what`.
pub(super) fn parse_guid(
    line: &Line<'_>,
    what: &'static str,
    text: &str,
) -> Result<Guid, InfError> {
    let wrong = || line.error(InfCause::Guid { what, text: text.to_owned() });
    Guid::parse(text).ok_or_else(wrong)
}

type Release = ((u16, u8, u8), [u16; 4]);

/// `month/day/year[,w.x.y.z]`.
fn driver_version(line: &Line<'_>, strings: &Strings<'_>) -> Result<Release, InfError> {
    let (date, version) = (strings.expand(line.value(0)), strings.expand(line.value(1)));
    parse_driver_version(&date, &version)
        .ok_or_else(|| line.error(InfCause::DriverVersion(format!("{date},{version}"))))
}

fn parse_driver_version(date: &str, version: &str) -> Option<Release> {
    let mut parts = date.split(['/', '-']).map(str::trim);
    let month: u8 = parts.next()?.parse().ok()?;
    let day: u8 = parts.next()?.parse().ok()?;
    let year: u16 = parts.next()?.parse().ok()?;
    let real =
        (1..=12).contains(&month) && (1..=31).contains(&day) && (1601..=9999).contains(&year);
    if !real || parts.next().is_some() {
        return None;
    }
    let mut numbers = [0; 4];
    if !version.is_empty() {
        for (at, part) in version.split('.').enumerate() {
            *numbers.get_mut(at)? = part.trim().parse().ok()?;
        }
    }
    Some(((year, month, day), numbers))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[Version]\nSignature=\"$WINDOWS NT$\"\nClass=Net\nClassGuid={4D36E972-E325-11CE-BFC1-08002BE10318}\nProvider=%p%\n\
        DriverVer = 02/03/2021, 1.01.0\nCatalogFile=a.cat\nCatalogFile.NT=b.cat\nCatalogFile.NTamd64=c.cat\nPnpLockdown=1\n[Strings]\np=\"Me\"\n";

    fn read(text: &str) -> Result<VersionInfo, InfError> {
        version(&Inf::parse(text.as_bytes()).unwrap(), InfArchitecture::Amd64)
    }

    #[test]
    fn all_of_it() {
        let found = read(TEXT).unwrap();
        assert_eq!((found.class.as_str(), found.provider.as_str()), ("Net", "Me"));
        assert_eq!((found.date, found.version), ((2021, 2, 3), [1, 1, 0, 0]));
        assert_eq!((found.catalog.as_deref(), found.pnp_lockdown), (Some("c.cat"), true));
        let inf = Inf::parse(TEXT.as_bytes()).unwrap();
        assert_eq!(version(&inf, InfArchitecture::X86).unwrap().catalog.as_deref(), Some("b.cat"));
    }

    #[test]
    fn what_windows_refuses_is_refused_with_the_line() {
        for (from, to, line) in [
            ("[Version]", "[Versions]", 0),
            ("$WINDOWS NT$", "$Linux$", 2),
            ("ClassGuid", "ClassName", 1),
            ("{4D36E972", "{4D36E9", 4),
            ("02/03/2021", "2021/02/03", 6),
            ("1.01.0", "1.2.3.4.5", 6),
            ("1.01.0", "1.70000", 6),
        ] {
            assert_eq!(read(&TEXT.replace(from, to)).unwrap_err().line, line, "{to}");
        }
    }
}
