//! Single values: names, keys, passwords, languages; what the reference says of them beyond type and length.

use crate::{
    base::secret::is_free_of_placeholders,
    format::unattend::{
        AnswerFile, Component, Element,
        password::{HIDDEN_ELEMENTS, reveal},
    },
};

use super::{Findings, Kind, settings::is_boolean, shown, walk};

/// Most bytes of a computer's NetBIOS name.
const COMPUTER_NAME: usize = 15;
/// Most characters of a local account's name.
const ACCOUNT_NAME: usize = 20;
/// What a computer name cannot hold.
const NOT_IN_COMPUTER_NAMES: &str = "{|}~[\\]^':;<=>?@!\"#$%`()+/.,*& ";
/// What an account name cannot hold.
const NOT_IN_ACCOUNT_NAMES: &str = "\"/\\[]:;|=,+*?<>@";
/// Names that no account can be given: they are there already, or mean something else.
const RESERVED: [&str; 9] = [
    "Administrator",
    "Guest",
    "DefaultAccount",
    "WDAGUtilityAccount",
    "SYSTEM",
    "NETWORK SERVICE",
    "LOCAL SERVICE",
    "NETWORK",
    "NONE",
];

pub(super) fn lint(file: &AnswerFile, findings: &mut Findings) {
    let names: Vec<&str> = components(file)
        .filter(|component| component.name.eq_ignore_ascii_case("Microsoft-Windows-Shell-Setup"))
        .filter_map(|component| Some(component.setting(&["ComputerName"])?.value()))
        .collect();
    for component in components(file) {
        walk(&component.settings, "", &mut |element, path| {
            value(component, element, path, &names, findings);
        });
    }
}

fn components(file: &AnswerFile) -> impl Iterator<Item = &Component> {
    file.passes.iter().flat_map(|pass| &pass.components)
}

fn value(
    component: &Component,
    element: &Element,
    path: &str,
    computers: &[&str],
    findings: &mut Findings,
) {
    let is = |name: &str| component.name.eq_ignore_ascii_case(name);
    let text = element.value();
    password(element, findings);
    if text.is_empty() || !is_free_of_placeholders(text) {
        return;
    }
    let place = element.place;
    if is("Microsoft-Windows-Shell-Setup") && path == "ComputerName" {
        // Its length is the catalogue's to judge, where it counts in characters.
        if let Some(problem) = computer_name_problem(text)
            && text.chars().count() <= COMPUTER_NAME
        {
            let cause = format!("ComputerName `{}` {problem}", shown(text));
            let help = "letters, digits and hyphens; `*` lets Windows make one";
            findings.error(Kind::ComputerName, place, cause, help);
        }
    }
    let key = is("Microsoft-Windows-Shell-Setup") && path == "ProductKey"
        || is("Microsoft-Windows-Setup") && path == "UserData/ProductKey/Key";
    if key && !is_product_key(text) {
        let cause = format!("{path} is not of the form of a product key");
        let help = "five groups of five letters and digits: XXXXX-XXXXX-XXXXX-XXXXX-XXXXX";
        findings.error(Kind::ProductKey, place, cause, help);
    }
    if path.ends_with("LocalAccounts/LocalAccount/Name") {
        if let Some(problem) = account_name_problem(text) {
            let cause = format!("the account name `{}` {problem}", shown(text));
            findings.warn(Kind::AccountName, place, cause, "");
        } else if computers.iter().any(|computer| computer.eq_ignore_ascii_case(text)) {
            let cause = format!("the account `{}` is called as the computer", shown(text));
            let help = "Windows refuses such an account; rename one of them";
            findings.warn(Kind::AccountName, place, cause, help);
        }
    }
    if component.name.to_lowercase().starts_with("microsoft-windows-international-core") {
        let last = path.rsplit('/').next().unwrap_or(path);
        let known = match last {
            "UILanguage" | "UILanguageFallback" => is_language_tag(text),
            "SystemLocale" | "UserLocale" => is_language_tag(text) || is_locale_number(text),
            "InputLocale" => text.split(';').all(is_input_locale),
            _ => true,
        };
        if !known {
            let cause = format!("{path} `{}` is of no form that is known", shown(text));
            let help = match last {
                "InputLocale" => {
                    "write language and layout, `0407:00000407`, or a language, `de-DE`; `;` between several"
                }
                _ => "write a language such as `de-DE`",
            };
            findings.warn(Kind::Locale, place, cause, help);
        }
    }
}

/// An element that holds `Value` and `PlainText`.
fn password(element: &Element, findings: &mut Findings) {
    let (Some(value), Some(plain)) = (element.child("Value"), element.child("PlainText")) else {
        return;
    };
    if !HIDDEN_ELEMENTS.contains(&element.name.as_str())
        || !is_boolean(plain.value())
        || value.text.is_empty()
        || !is_free_of_placeholders(&value.text)
    {
        return;
    }
    if plain.value().eq_ignore_ascii_case("true") {
        let cause = format!("{} is a password in plain text", element.name);
        let help = "whoever reads the image reads it; `users` and `administrator-password` of [unattend] take passwords from the environment";
        findings.warn(Kind::PlainPassword, value.place, cause, help);
    } else if reveal(value.value(), &element.name).is_none() {
        let cause = format!("{} is not a hidden password: Windows would not know it", element.name);
        let help = format!(
            "it is base64 of UTF-16 of the password followed by `{}`; or write <PlainText>true</PlainText>",
            element.name
        );
        findings.warn(Kind::HiddenPassword, value.place, cause, help);
    }
}

/// What is wrong with a computer name; the empty one and `*` let Windows make one.
pub(crate) fn computer_name_problem(name: &str) -> Option<String> {
    if name.is_empty() || name == "*" {
        return None;
    }
    if let Some(character) = name.chars().find(|one| NOT_IN_COMPUTER_NAMES.contains(*one)) {
        return Some(format!("holds `{character}`, which computer names cannot"));
    }
    if name.chars().any(char::is_control) {
        return Some("holds a control character".to_owned());
    }
    if name.len() > COMPUTER_NAME {
        return Some(format!("has {} bytes, {COMPUTER_NAME} are possible", name.len()));
    }
    name.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| "is all digits, which Windows refuses".to_owned())
}

/// What is wrong with the name of a local account.
pub(crate) fn account_name_problem(name: &str) -> Option<String> {
    if let Some(character) =
        name.chars().find(|one| NOT_IN_ACCOUNT_NAMES.contains(*one) || one.is_control())
    {
        return Some(format!("holds `{}`, which account names cannot", character.escape_debug()));
    }
    let length = name.encode_utf16().count();
    if length > ACCOUNT_NAME {
        return Some(format!("has {length} characters, {ACCOUNT_NAME} are possible"));
    }
    if name.chars().all(|one| one == '.' || one == ' ') {
        return Some("has neither letters nor digits".to_owned());
    }
    RESERVED
        .iter()
        .any(|reserved| reserved.eq_ignore_ascii_case(name))
        .then(|| "is one that Windows has already".to_owned())
}

/// Five groups of five letters and digits.
pub(crate) fn is_product_key(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.len() == 5
        && groups
            .iter()
            .all(|group| group.len() == 5 && group.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// `de-DE`, `sr-Latn-RS`, `ca-ES-valencia`.
pub(crate) fn is_language_tag(text: &str) -> bool {
    let mut parts = text.split('-');
    let first = parts.next().unwrap_or("");
    (2..=3).contains(&first.len())
        && first.bytes().all(|byte| byte.is_ascii_alphabetic())
        && parts.all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}

/// `0407`, `00000407`.
fn is_locale_number(text: &str) -> bool {
    let text = text.strip_prefix("0x").unwrap_or(text);
    (4..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `0407:00000407`, `0804:{81D4...}{FA55...}`, `de-DE`, `00000407`.
fn is_input_locale(text: &str) -> bool {
    let text = text.trim();
    if text.is_empty() || is_language_tag(text) || is_locale_number(text) {
        return true;
    }
    let Some((language, layout)) = text.split_once(':') else { return false };
    let hexadecimal = |text: &str, length: usize| {
        let text = text.strip_prefix("0x").unwrap_or(text);
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let service = layout.len() == 76
        && layout.starts_with('{')
        && layout.ends_with('}')
        && layout.bytes().all(|byte| byte.is_ascii_hexdigit() || b"{}-".contains(&byte));
    hexadecimal(language, 4) && (hexadecimal(layout, 8) || service)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_keys_are_judged_as_windows_does() {
        for name in ["*", "", "BUILD-01", "a1"] {
            assert_eq!(computer_name_problem(name), None, "{name}");
        }
        for name in ["123", "a b", "a.b", "sixteen-letters-", "ääääääää"] {
            assert!(computer_name_problem(name).is_some(), "{name}");
        }
        assert!(is_product_key("abcde-FGHIJ-12345-67890-ABCDE"));
        assert!(!is_product_key("abcde-FGHIJ-12345-67890-ABCD") && !is_product_key(""));
        assert_eq!(account_name_problem("build"), None);
        for name in ["guest", "a@b", "...", "twenty-one-characters"] {
            assert!(account_name_problem(name).is_some(), "{name}");
        }
    }

    #[test]
    fn languages_and_keyboards_have_their_forms() {
        let service =
            "0804:{81D4E9C9-1D3B-41BC-9E6C-4B40BF79E35E}{FA550B04-5AD7-411F-A5AC-CA038EC515D7}";
        for text in ["de-DE", "0407:00000407", "0x0409:0x00000409", service, "00000409"] {
            assert!(is_input_locale(text), "{text}");
        }
        for text in ["German", "0407:0407", "0407-00000407:", "0407:{}"] {
            assert!(!is_input_locale(text), "{text}");
        }
        assert!(is_language_tag("ca-ES-valencia") && !is_language_tag("1") && !is_language_tag(""));
    }
}
