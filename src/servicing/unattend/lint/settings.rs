//! Settings against the catalogue: names, passes, types, lengths, and lists whose items must differ.

use std::collections::BTreeSet;

use crate::{
    base::secret::is_free_of_placeholders,
    format::unattend::{
        AnswerFile, Component, Element, Namespace, PassName,
        catalogue::{self, ComponentSettings, Setting, ValueKind},
    },
};

use super::{DID_YOU_MEAN, Findings, Kind, nearest, shown};

pub(super) fn lint(file: &AnswerFile, findings: &mut Findings) {
    for pass in &file.passes {
        for component in &pass.components {
            lists(&component.settings, findings);
            match catalogue::component(&component.name) {
                Some(known) => Walk { known, pass: pass.name, findings }.component(component),
                None => unknown_component(component, findings),
            }
        }
    }
}

fn unknown_component(component: &Component, findings: &mut Findings) {
    let help = match nearest(&component.name, catalogue::components()) {
        Some(near) => format!("{DID_YOU_MEAN}`{near}`?"),
        None => "Setup skips a component that the image does not have".to_owned(),
    };
    let cause = format!("{} is no component that is known", shown(&component.name));
    findings.warn(Kind::UnknownComponent, component.place, cause, help);
}

struct Walk<'a> {
    known: &'static ComponentSettings,
    pass: PassName,
    findings: &'a mut Findings,
}

impl Walk<'_> {
    fn component(&mut self, component: &Component) {
        let takes = self.known.settings().any(|(_, setting)| setting.is_in(self.pass));
        if !takes && !component.settings.is_empty() {
            let mut passes: BTreeSet<PassName> = BTreeSet::new();
            for (_, setting) in self.known.settings() {
                passes.extend(setting.passes());
            }
            let names: Vec<&str> = passes.into_iter().map(PassName::name).collect();
            let cause = format!(
                "{} has no setting for the pass `{}`: Setup ignores it there",
                component.name, self.pass
            );
            let for_pe = format!("{}-WinPE", component.name);
            let help = match self.pass {
                PassName::WindowsPe if catalogue::component(&for_pe).is_some() => {
                    format!("in windowsPE it is called {for_pe}")
                }
                _ => format!("it is for {}", names.join(", ")),
            };
            self.findings.warn(Kind::WrongPass, component.place, cause, help);
        }
        for setting in &component.settings {
            self.element(setting, "", takes);
        }
    }

    /// `told`: false when the wrong pass was said already. The depth is bounded by the reader's.
    fn element(&mut self, element: &Element, above: &str, check_pass: bool) {
        if element.namespace != Namespace::Unattend {
            return;
        }
        let path = match above {
            "" => element.name.clone(),
            above => format!("{above}/{}", element.name),
        };
        let Some(setting) = self.known.setting(&path) else {
            self.unknown(element, above);
            return;
        };
        if setting.old {
            let cause = format!("{path} is a setting of older versions of Windows");
            let help = "newer ones may ignore it; take it out, or keep it for the older ones";
            self.findings.warn(Kind::OldSetting, element.place, cause, help);
        }
        let wrong_pass = check_pass && !setting.is_in(self.pass);
        if wrong_pass {
            let passes: Vec<&str> = setting.passes().map(PassName::name).collect();
            let cause =
                format!("{path} is not for the pass `{}`: Setup ignores it there", self.pass);
            let help = format!("move it to {}", passes.join(" or "));
            self.findings.warn(Kind::WrongPass, element.place, cause, help);
        }
        self.value(element, &path, setting);
        for child in &element.children {
            self.element(child, &path, check_pass && !wrong_pass);
        }
    }

    fn unknown(&mut self, element: &Element, above: &str) {
        let siblings = self.known.names_below(above);
        let elsewhere =
            self.known.settings().map(|(path, _)| path).find(|path| {
                path.rsplit('/').next() == Some(&element.name) && *path != element.name
            });
        let help = match (nearest(&element.name, siblings), elsewhere) {
            (Some(near), _) => format!("{DID_YOU_MEAN}`{near}`?"),
            (None, Some(path)) => format!("{DID_YOU_MEAN}`{path}`?"),
            (None, None) => "it may be newer than what is known here".to_owned(),
        };
        let place = if above.is_empty() { self.known.name } else { above };
        let cause = format!("{place} has no setting `{}` that is known", shown(&element.name));
        self.findings.warn(Kind::UnknownSetting, element.place, cause, help);
    }

    fn value(&mut self, element: &Element, path: &str, setting: &Setting) {
        let (place, value) = (element.place, element.value());
        if element.is_empty() {
            if !setting.empty_allowed {
                let help = "take it out: an empty element is a setting without a value";
                self.findings.warn(Kind::Empty, place, format!("{path} is empty"), help);
            }
            return;
        }
        if setting.kind == ValueKind::Group {
            if !value.is_empty() {
                let inner: Vec<&str> = self.known.names_below(path).take(8).collect();
                let cause = format!("{path} has text, but it holds other settings");
                let help = format!("write it into one of {}", inner.join(", "));
                self.findings.warn(Kind::StrayText, place, cause, help);
            }
            return;
        }
        // What a secret holds is not known.
        if !element.children.is_empty() || !is_free_of_placeholders(value) {
            return;
        }
        let wrong = |expected: &str| format!("{path} is `{}`, not {expected}", shown(value));
        match setting.kind {
            ValueKind::Boolean if matches!(value, "0" | "1") => {
                let help = "write `true` or `false`";
                self.findings.warn(Kind::WrongType, place, wrong("`true` or `false`"), help);
            }
            ValueKind::Boolean if !is_boolean(value) => {
                let help = "write `true` or `false`";
                self.findings.error(Kind::WrongType, place, wrong("`true` or `false`"), help);
            }
            ValueKind::Integer if !is_integer(value) => {
                self.findings.error(Kind::WrongType, place, wrong("a whole number"), "");
            }
            ValueKind::Word if !setting.has_word(value) => self.word(element, path, setting),
            _ => {}
        }
        if let Some(longest) = setting.longest {
            let length = element.text.encode_utf16().count();
            if length > usize::from(longest) {
                let cause = format!("{path} has {length} characters, {longest} are possible");
                let help = match path.ends_with("Path") || path.ends_with("CommandLine") {
                    true => "put the command into a script ([[files]]) and run that",
                    false => "",
                };
                self.findings.error(Kind::TooLong, place, cause, help);
            }
        }
    }

    fn word(&mut self, element: &Element, path: &str, setting: &Setting) {
        let value = element.value();
        let words: Vec<&str> = setting.words().collect();
        if value.eq_ignore_ascii_case("/IMAGE/EditionID") {
            let cause = format!("{path} is /IMAGE/EditionID, which the reference does not name");
            let help = "it is known to work; /IMAGE/NAME and /IMAGE/INDEX are documented";
            self.findings.warn(Kind::Undocumented, element.place, cause, help);
            return;
        }
        let cause = format!("{path} is `{}`", shown(value));
        let help = match nearest(value, words.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it is one of {}", words.join(", ")),
        };
        self.findings.error(Kind::WrongType, element.place, cause, help);
    }
}

pub(super) fn is_boolean(value: &str) -> bool {
    ["true", "false"].iter().any(|word| word.eq_ignore_ascii_case(value))
}

/// A decimal number with or without sign, or a hexadecimal one.
fn is_integer(value: &str) -> bool {
    match value.strip_prefix("0x").or_else(|| value.strip_prefix("0X")) {
        Some(digits) => !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit()),
        None => {
            let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
            !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
        }
    }
}

/// Elements beside one another: items must differ in what names them, what is no item can be there once. The depth is bounded by the reader's.
fn lists(elements: &[Element], findings: &mut Findings) {
    let mut seen: BTreeSet<(&str, Option<&str>, &str)> = BTreeSet::new();
    let mut orders: BTreeSet<&str> = BTreeSet::new();
    for element in elements.iter().filter(|element| element.namespace == Namespace::Unattend) {
        lists(&element.children, findings);
        let key = ["Order", "Name", "DiskID", "Identifier"]
            .into_iter()
            .find_map(|name| Some((name, element.child(name)?.value())));
        let listed = element.configuration("action").is_some();
        let identity = match (element.configuration("keyValue"), key) {
            (Some(key), _) => (element.name.as_str(), Some(key), ""),
            (None, Some((name, key))) => (element.name.as_str(), Some(key), name),
            // Items with another key, which is not known here.
            (None, None) if listed => continue,
            (None, None) => (element.name.as_str(), None, ""),
        };
        if identity.2 == "Order" {
            orders.insert(&element.name);
        }
        if seen.insert(identity) {
            continue;
        }
        match identity {
            (name, Some(key), what) => {
                let what = if what.is_empty() { "wcm:keyValue" } else { what };
                let cause = format!("two {name} have the same {what}: `{}`", shown(key));
                let kind = if what == "Order" { Kind::Order } else { Kind::Twice };
                findings.error(kind, element.place, cause, "each item needs its own");
            }
            (name, None, _) => {
                let help = "Setup uses one of them; keep that one";
                findings.warn(Kind::Twice, element.place, format!("{name} is given twice"), help);
            }
        }
    }
    for name in orders {
        order(elements.iter().filter(|element| element.is(name)), findings);
    }
}

/// The numbers of a list's items: from 1, ascending.
fn order<'a>(items: impl Iterator<Item = &'a Element>, findings: &mut Findings) {
    let mut last = None;
    for item in items {
        let Some(order) = item.child("Order") else { continue };
        let Ok(number) = order.value().parse::<u32>() else {
            let cause = format!("Order is `{}`, not a number from 1", shown(order.value()));
            findings.error(Kind::Order, order.place, cause, "");
            continue;
        };
        if number == 0 {
            let cause = "Order is 0; items are counted from 1";
            findings.error(Kind::Order, order.place, cause, "");
        } else if last.is_some_and(|last| last > number) {
            let cause = format!("{} {number} stands behind a later one", item.name);
            let help = "Setup goes by the numbers; write them in that order";
            findings.warn(Kind::Order, order.place, cause, help);
        }
        last = Some(number);
    }
}
