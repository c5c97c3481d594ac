//! What a person should know of an INF before trusting it.

use std::collections::HashSet;

use super::document::{Inf, Line, fold, same};
use super::error::{InfCause, InfDefect};
use super::model::InfArchitecture;
use super::models::{manufacturers, unknown_decorations};
use super::strings::{Strings, number_of, tokens};
use super::version::version;

/// Defects told of one file; more say nothing new.
const MOST: usize = 512;
/// Entries whose fields are names of sections.
const LISTS: &[&str] = &[
    "AddReg",
    "DelReg",
    "CopyFiles",
    "DelFiles",
    "RenFiles",
    "AddProperty",
    "UpdateInis",
    "RegisterDlls",
];

impl Inf {
    /// What is wrong or odd, in the order of the lines. Without a defect that is no warning, Windows takes the file.
    #[must_use]
    pub fn defects(&self) -> Vec<InfDefect> {
        let mut found = self.text_defects().to_vec();
        let strings = Strings::new(self, 0x409);
        if let Err(error) = version(self, InfArchitecture::Amd64) {
            let known = found.iter().any(|defect| defect.cause == error.cause);
            if !known {
                let (line, column) = (error.line, error.column);
                found.push(InfDefect { line, column, cause: error.cause, warning: false });
            }
        }
        for key in ["Class", "Provider", "DriverVer"] {
            if let Some(section) = self.section("Version")
                && section.find(key).is_none_or(|line| line.value(0).is_empty())
            {
                let cause = InfCause::MissingEntry { section: "Version".into(), key };
                found.push(InfDefect { line: section.number(), column: 1, cause, warning: true });
            }
        }
        found.extend(
            unknown_decorations(self).take(MOST).map(|(line, cause)| warning(&line, cause)),
        );
        self.dangling(&strings, &mut found);
        self.unknown_tokens(&mut found);
        found.truncate(MOST);
        found.sort_by_key(|defect| (defect.line, defect.column));
        found
    }

    /// Sections that are named and are not there.
    fn dangling(&self, strings: &Strings<'_>, found: &mut Vec<InfDefect>) {
        let mut told = HashSet::new();
        let mut check = |line: &Line<'_>, key: &str, name: &str, found: &mut Vec<InfDefect>| {
            let name = strings.expand(name);
            let fine = name.is_empty() || name.starts_with('@') || self.section(&name).is_some();
            if !fine && found.len() < MOST && told.insert(fold(&name)) {
                let cause = InfCause::DanglingSection { key: key.to_owned(), section: name };
                found.push(warning(line, cause));
            }
        };
        for (line, _, base) in manufacturers(self) {
            if line.count() <= 1 {
                check(&line, "Manufacturer", base, found);
            }
            for text in line.values().skip(1).filter(|text| !text.is_empty()) {
                check(&line, "Manufacturer", &format!("{base}.{text}"), found);
            }
        }
        // What other INFs hold is not known here.
        let includes = |line: Line<'_>| line.key().is_some_and(|key| same(key, "Include"));
        if self.sections().any(|section| section.lines().any(includes)) {
            return;
        }
        for line in self.sections().flat_map(|section| section.lines()) {
            let Some(key) = line.key() else { continue };
            if strings.exhausted(0) || found.len() >= MOST {
                return;
            }
            if let Some(list) = LISTS.iter().find(|list| same(list, key)) {
                line.values().for_each(|name| check(&line, list, name, found));
            } else if same(key, "AddService") {
                check(&line, "AddService", line.value(2), found);
                check(&line, "AddService", line.value(3), found);
            }
        }
    }

    /// Tokens that no language defines.
    fn unknown_tokens(&self, found: &mut Vec<InfDefect>) {
        let is_strings =
            |name: &str| name.get(..7).is_some_and(|head| head.eq_ignore_ascii_case("Strings"));
        let (texts, others): (Vec<_>, Vec<_>) =
            self.sections().partition(|section| is_strings(section.name()));
        let mut known: HashSet<String> = texts
            .iter()
            .flat_map(|section| section.lines())
            .filter_map(|line| line.key().map(fold))
            .collect();
        for line in others.iter().flat_map(|section| section.lines()) {
            for text in line.key().into_iter().chain(line.values()) {
                for token in tokens(text).filter(|token| number_of(token).is_none()) {
                    if found.len() >= MOST {
                        return;
                    }
                    if known.insert(fold(token)) {
                        found.push(warning(&line, InfCause::UnknownToken(token.to_owned())));
                    }
                }
            }
        }
    }
}

fn warning(line: &Line<'_>, cause: InfCause) -> InfDefect {
    InfDefect { line: line.number(), column: line.column(), cause, warning: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_defect_is_told_once_at_its_line() {
        let text = "stray\n[Version]\nSignature=\"x\nClass=%c%\n[Manufacturer]\na=M,NTmips\n[M.NTamd64]\n%d%=I,%c%\n[I]\nAddReg=R,%12%\n[broken\n";
        let found = Inf::parse(text.as_bytes()).unwrap().defects();
        let seen: Vec<String> = found
            .iter()
            .map(|d| format!("{}{} {}", d.line, if d.warning { "" } else { "!" }, d.cause))
            .collect();
        let want = [
            "1 there is text before",
            "2 [Version] has no `Provider`",
            "2 [Version] has no `DriverVer`",
            "3 a quotation mark",
            "4 `%c%` is not defined",
            "6 `NTmips`",
            "6 `Manufacturer` names the section [M.NTmips]",
            "8 `%d%`",
            "10 `AddReg` names the section [R]",
            "10 `AddReg` names the section [%12%]",
            "11! the section name is not closed",
        ];
        assert_eq!(seen.len(), want.len(), "{seen:#?}");
        for (seen, want) in seen.iter().zip(want) {
            assert!(seen.starts_with(want), "{seen} / {want}");
        }
    }
}
