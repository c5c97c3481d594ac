//! `[Manufacturer]` and the models sections: which lines are for a target.
//!
//! An entry `%Mfg% = Models, NTamd64, NTamd64.10.0...16299` names `[Models]` and one section for each decoration
//! `NT[arch][.major[.minor[.[product][.[suite][.build]]]]]`. Those of another architecture or a newer system are dropped, and of what is left the one for the
//! newest system wins. Outside x86 a section needs an architecture. Source: `facts/inf.md` (inf-manufacturer-section).

use super::document::{Inf, Line};
use super::error::InfCause;
use super::model::{InfArchitecture, Target};
use super::strings::number32;

/// The decoration of a models section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decoration {
    /// `None`: any x86.
    pub(super) architecture: Option<InfArchitecture>,
    version: Option<(u32, u32)>,
    product: Option<u32>,
    suite: Option<u32>,
    build: Option<u32>,
}

/// Major and minor version, build, whether it names the product, whether it names the architecture; compared in this order.
type Fit = (u32, u32, u32, bool, bool);

impl Decoration {
    /// No decoration.
    pub(super) const NONE: Self =
        Self { architecture: None, version: None, product: None, suite: None, build: None };

    /// `None` for what no Windows of ours is (Itanium) and for what is no decoration.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(str::trim);
        let head = parts.next()?.to_ascii_lowercase();
        let architecture = match head.strip_prefix("nt")? {
            "" => None,
            name => Some(*InfArchitecture::ALL.iter().find(|known| known.name() == name)?),
        };
        let mut numbers = [None; 5];
        for (at, part) in parts.enumerate() {
            let slot = numbers.get_mut(at)?;
            if !part.is_empty() {
                *slot = Some(number32(part)?);
            }
        }
        let [major, minor, product, suite, build] = numbers;
        let version = major.map(|major| (major, minor.unwrap_or(0)));
        Some(Self { architecture, version, product, suite, build })
    }

    /// How well it fits `target`, greater is better; `None` when it does not.
    fn fit(&self, target: &Target) -> Option<Fit> {
        let right = match self.architecture {
            Some(architecture) => architecture == target.architecture,
            None => target.architecture == InfArchitecture::X86,
        };
        let system = (u32::from(target.version.0), u32::from(target.version.1));
        // Which suites the image has is not known, so no section may count on one.
        if !right || self.version.is_some_and(|version| version > system) || self.suite.is_some() {
            return None;
        }
        if self.product.is_some() && self.product != target.product_type.map(u32::from) {
            return None;
        }
        let build = self.build.filter(|_| self.version == Some(system)).unwrap_or(0);
        if build > target.build {
            return None;
        }
        let (major, minor) = self.version.unwrap_or_default();
        Some((major, minor, build, self.product.is_some(), self.architecture.is_some()))
    }
}

/// The name of the models section that an entry of `[Manufacturer]` has for `target`; `base` is its first field, expanded.
pub(super) fn choose(base: &str, decorations: &[String], target: &Target) -> Option<String> {
    let bare = Decoration::NONE.fit(target).map(|fit| (fit, base.to_owned()));
    let decorated = decorations.iter().filter_map(|text| {
        let fit = Decoration::parse(text)?.fit(target)?;
        Some((fit, format!("{base}.{text}")))
    });
    // Of equals the first named wins.
    let mut best: Option<(Fit, String)> = None;
    for (fit, name) in decorated.chain(bare) {
        if best.as_ref().is_none_or(|(known, _)| fit > *known) {
            best = Some((fit, name));
        }
    }
    best.map(|(_, name)| name)
}

/// The entries of `[Manufacturer]`: the line, what it names the manufacturer (as written) and its models section (as written).
pub(super) fn manufacturers(inf: &Inf) -> impl Iterator<Item = (Line<'_>, &str, &str)> {
    inf.section("Manufacturer").into_iter().flat_map(|section| section.lines()).filter_map(|line| {
        let (name, base) = match line.key() {
            Some(key) => (key, line.value(0)),
            None => (line.value(0), line.value(0)),
        };
        (!base.is_empty()).then_some((line, name, base))
    })
}

/// The architectures that `[Manufacturer]` has models sections for, in the order of [`InfArchitecture`]. A section without an architecture is for x86.
#[must_use]
pub fn architectures(inf: &Inf) -> Vec<InfArchitecture> {
    let strings = super::strings::Strings::new(inf, 0x409);
    let mut found = Vec::new();
    for (line, _, base) in manufacturers(inf) {
        let base = strings.expand(base);
        if inf.section(&base).is_some_and(|section| section.lines().next().is_some()) {
            found.push(InfArchitecture::X86);
        }
        for text in line.values().skip(1) {
            if let Some(decoration) = Decoration::parse(&strings.expand(text)) {
                found.push(decoration.architecture.unwrap_or(InfArchitecture::X86));
            }
        }
    }
    InfArchitecture::ALL.into_iter().filter(|known| found.contains(known)).collect()
}

/// Decorations that are not understood, each as a cause.
pub(super) fn unknown_decorations(inf: &Inf) -> impl Iterator<Item = (Line<'_>, InfCause)> {
    manufacturers(inf).flat_map(|(line, _, _)| {
        line.values()
            .skip(1)
            .filter(|text| {
                let lower = text.to_ascii_lowercase();
                !text.is_empty()
                    && !lower.starts_with("ntia64")
                    && Decoration::parse(text).is_none()
            })
            .map(move |text| (line, InfCause::Decoration(text.to_owned())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(architecture: InfArchitecture, build: u32) -> Target {
        Target { architecture, version: (10, 0), build, product_type: Some(1), language: 0x409 }
    }

    #[test]
    fn the_newest_that_fits_wins() {
        let named = |list: &str, target: &Target| {
            let list: Vec<String> = list.split(',').map(|text| text.trim().to_owned()).collect();
            choose("M", &list, target).unwrap_or_default()
        };
        let amd64 = target(InfArchitecture::Amd64, 19041);
        for (list, want) in [
            ("NTamd64", "M.NTamd64"),
            ("NTx86,NT", ""),
            ("NTamd64,NTamd64.6.1,NTamd64.10.0", "M.NTamd64.10.0"),
            ("NTamd64.10.0...16299,NTamd64.10.0...22000", "M.NTamd64.10.0...16299"),
            ("NTamd64.10.0...22000", ""),
            ("NTamd64.6.3...99999", "M.NTamd64.6.3...99999"),
            ("NTamd64.11", ""),
            ("NTamd64.10.0,NTamd64.10.0.1", "M.NTamd64.10.0.1"),
            ("NTamd64.10.0,NTamd64.10.0.3", "M.NTamd64.10.0"),
            ("NTamd64,NTamd64...0x80", "M.NTamd64"),
            ("ntAMD64.10.0.1..16299", "M.ntAMD64.10.0.1..16299"),
            ("NT$ARCH$,NTia64", ""),
        ] {
            assert_eq!(named(list, &amd64), want, "{list}");
        }
        let x86 = target(InfArchitecture::X86, 19041);
        for (list, want) in [
            ("", "M"),
            ("NTamd64", "M"),
            ("NT", "M.NT"),
            ("NT,NTx86", "M.NTx86"),
            ("NT.6.0,NTx86", "M.NT.6.0"),
        ] {
            assert_eq!(named(list, &x86), want, "{list}");
        }
    }

    #[test]
    fn architectures_are_those_of_the_decorations() {
        let text =
            "[Manufacturer]\n%m%=A,NTamd64.10.0,NTarm64,NTia64\n[A]\n[A.NTamd64.10.0]\nx=y,z\n";
        let read = |text: &str| architectures(&Inf::parse(text.as_bytes()).unwrap());
        assert_eq!(read(text), [InfArchitecture::Amd64, InfArchitecture::Arm64]);
        assert_eq!(read(&text.replace("[A]", "[A]\nx=y,z"))[0], InfArchitecture::X86);
        assert_eq!(read("[Version]\n"), []);
    }
}
