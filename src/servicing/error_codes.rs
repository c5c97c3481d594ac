//! Error codes of Windows' servicing, and what they mean for an image, in the words that people search for.
//!
//! `error_codes.tsv` beside this file has a line for each code: code, name, `=` where Microsoft documents code and meaning or `~` where they are known from reports alone,
//! meaning, what Windows says (in English, as people paste it), causes in an image, what to do, and what this program says in such a case. The facts come from Microsoft's
//! public error references and headers and from the threads in which people met the codes; the words are ours.
//!
//! A code that is not in the table is taken apart: an HRESULT or NTSTATUS says by its bits where it comes from, and one of facility 7 carries a Win32 code.

use std::fmt;

use serde::Serialize;

/// The table.
const TABLE: &str = include_str!("error_codes.tsv");
/// As many codes are given for words.
const MOST: usize = 5;

/// What is known of an error code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Found {
    /// The code: `0x800f081e`.
    pub code: String,
    /// The same as exit codes of Windows show it.
    pub signed: i32,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'static str>,
    /// True when code and meaning are documented; false when they are known from reports alone, or only from the code's bits.
    pub documented: bool,
    /// What it means.
    pub meaning: String,
    /// What Windows says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub windows_says: Option<&'static str>,
    /// What causes it in an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub causes: Option<&'static str>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what_to_do: Option<&'static str>,
    /// What this program says in such a case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transom_says: Option<&'static str>,
    /// What its bits say.
    pub parts: Parts,
}

/// What the bits of a code say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Parts {
    /// `HRESULT` or `NTSTATUS`.
    pub form: &'static str,
    /// Number of the facility: the part of Windows that it comes from.
    pub facility: u32,
    /// What that is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facility_name: Option<&'static str>,
    /// The code in the facility.
    pub number: u32,
    /// The name of the Win32 error that it carries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub win32: Option<&'static str>,
}

/// A line of the table.
struct Row {
    code: u32,
    fields: [&'static str; 7],
}

/// The lines of the table.
fn rows() -> impl Iterator<Item = Row> {
    TABLE.lines().filter_map(|line| {
        let mut parts = line.split('\t');
        let code = number(parts.next()?)?;
        let mut fields = [""; 7];
        for (field, part) in fields.iter_mut().zip(parts) {
            *field = part;
        }
        Some(Row { code, fields })
    })
}

impl Row {
    fn found(&self) -> Found {
        let [name, sure, meaning, says, causes, to_do, ours] = self.fields;
        let some = |text: &'static str| Some(text).filter(|text| !text.is_empty());
        Found {
            name: some(name),
            documented: sure == "=",
            windows_says: some(says),
            causes: some(causes),
            what_to_do: some(to_do),
            transom_says: some(ours),
            ..Found::unknown(self.code, meaning.to_owned())
        }
    }
}

impl Found {
    fn unknown(code: u32, meaning: String) -> Self {
        Self {
            code: format!("0x{code:08x}"),
            signed: code.cast_signed(),
            name: None,
            documented: false,
            meaning,
            windows_says: None,
            causes: None,
            what_to_do: None,
            transom_says: None,
            parts: Parts::of(code),
        }
    }
}

/// The codes that `text` means: a code in any form in which people meet it, its name, or words of what Windows says. None when it is none of these.
#[must_use]
pub fn find(text: &str) -> Vec<Found> {
    let words: Vec<&str> = text
        .split_whitespace()
        .map(|word| word.trim_matches([',', '.', ':', ';', '(', ')', '"', '\'']))
        .collect();
    if let Some(code) = words.iter().find_map(|word| code_of(word, words.len() == 1)) {
        return vec![of_code(code)];
    }
    let named = |row: &Row| words.iter().any(|word| row.fields[0].eq_ignore_ascii_case(word));
    let named: Vec<Found> = rows()
        .filter(|row| !row.fields[0].is_empty() && named(row))
        .map(|row| row.found())
        .collect();
    if !named.is_empty() {
        return named;
    }
    by_words(&words)
}

/// What is known of a code.
#[must_use]
pub fn of_code(code: u32) -> Found {
    if let Some(row) = rows().find(|row| row.code == code) {
        return row.found();
    }
    let parts = Parts::of(code);
    let meaning = match (parts.win32, parts.facility_name) {
        (Some(_), _) => "an error of Windows itself, not of servicing".to_owned(),
        (None, Some(facility)) => {
            format!("an error of {facility}; this program knows no more of it")
        }
        (None, None) => "this program does not know it".to_owned(),
    };
    Found::unknown(code, meaning)
}

/// The code that a word is: `0x800f081e`, `800f081e`, `2148468766`, `-2146498530`; alone also a small number, which is a Win32 code.
fn code_of(word: &str, alone: bool) -> Option<u32> {
    let lower = word.to_ascii_lowercase();
    if let Some(hex) = lower.strip_prefix("0x") {
        // A 64-bit register holds it with its sign.
        let hex = hex.strip_prefix("ffffffff").filter(|rest| rest.len() == 8).unwrap_or(hex);
        let code = u32::from_str_radix(hex, 16).ok()?;
        return Some(wrapped(code));
    }
    let is_hex = lower.len() == 8 && lower.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex && ["80", "c0", "c1", "e0"].iter().any(|start| lower.starts_with(start)) {
        return u32::from_str_radix(&lower, 16).ok();
    }
    let decimal: i64 = lower.parse().ok()?;
    if decimal < 0 {
        return i32::try_from(decimal).ok().map(i32::cast_unsigned);
    }
    let code = u32::try_from(decimal).ok()?;
    (alone || code > 0xffff).then(|| wrapped(code))
}

/// A small code is a Win32 code: the table has it as HRESULT.
fn wrapped(code: u32) -> u32 {
    if (1..=0xffff).contains(&code) { 0x8007_0000 | code } else { code }
}

fn number(hex: &str) -> Option<u32> {
    u32::from_str_radix(hex.strip_prefix("0x")?, 16).ok()
}

/// The codes whose text has the words: those that Windows says count most.
fn by_words(words: &[&str]) -> Vec<Found> {
    /// Words that every text has.
    const COMMON: [&str; 14] = [
        "the", "and", "for", "was", "not", "that", "this", "with", "error", "dism", "failed",
        "windows", "could", "has",
    ];
    let words: Vec<String> = words
        .iter()
        .map(|word| word.to_lowercase())
        .filter(|word| word.len() > 2 && !COMMON.contains(&word.as_str()))
        .collect();
    if words.len() < 2 {
        return Vec::new();
    }
    let score = |row: &Row| -> usize {
        let [name, _, meaning, says, causes, ..] = row.fields.map(str::to_lowercase);
        let weight = |word: &String| {
            let weights = [(&says, 4), (&meaning, 3), (&name, 2), (&causes, 1)];
            weights.iter().find(|(text, _)| has_word(text, word)).map_or(0, |(_, weight)| *weight)
        };
        words.iter().map(weight).sum()
    };
    let mut found: Vec<(usize, Row)> = rows().map(|row| (score(&row), row)).collect();
    found.sort_by_key(|(score, row)| (std::cmp::Reverse(*score), row.code));
    let best = found.first().map_or(0, |(score, _)| *score);
    // Two words at least have to be in what Windows says or in the meaning.
    if best < words.len().min(4) * 2 || best < 6 {
        return Vec::new();
    }
    let near = found.iter().take_while(|(score, _)| *score * 4 >= best * 3);
    near.take(MOST).map(|(_, row)| row.found()).collect()
}

/// True when a word of `text` begins with `word`.
fn has_word(text: &str, word: &str) -> bool {
    text.split(|character: char| !character.is_alphanumeric()).any(|part| part.starts_with(word))
}

impl Parts {
    /// What the bits of `code` say.
    #[must_use]
    pub fn of(code: u32) -> Self {
        let number = code & 0xffff;
        // The two highest bits together: an NTSTATUS error. 0xE...: the same with the bit for codes that are not Microsoft's own numbering.
        let is_status = code >> 30 == 3;
        if is_status {
            let facility = (code >> 16) & 0xfff;
            let facility_name = match (code >> 28, facility) {
                (0xe, 0) => Some("driver installation (SetupAPI)"),
                (_, 0) => Some("the kernel and its services"),
                (_, 0x004) => Some("the DISM API"),
                (_, 0x015) => Some("side-by-side assemblies"),
                (_, 0x142) => Some("mounted WIMs (wimgapi)"),
                (_, 0x151) => Some("DISM's image handling"),
                (_, 0x190) => Some("Windows Setup and upgrades"),
                _ => None,
            };
            return Self { form: "NTSTATUS", facility, facility_name, number, win32: None };
        }
        let facility = (code >> 16) & 0x7ff;
        let facility_name = match facility {
            7 => Some("Windows itself (Win32)"),
            9 => Some("security"),
            0xb => Some("certificates and signatures"),
            0xf if (0x0800..0x0a00).contains(&number) => {
                Some("component based servicing (CBS): packages, features, updates")
            }
            0xf => Some("driver installation and setup (SetupAPI)"),
            0x22 => Some("settings of components (SMI), which answer files set"),
            0x24 => Some("Windows Update"),
            _ => None,
        };
        let win32 = (facility == 7).then(|| win32(number)).flatten();
        Self { form: "HRESULT", facility, facility_name, number, win32 }
    }
}

/// The name of a Win32 error.
fn win32(number: u32) -> Option<&'static str> {
    let row = rows().find(|row| row.code == 0x8007_0000 | number);
    let in_table = row.map(|row| row.fields[0]).filter(|name| !name.is_empty());
    in_table.or_else(|| {
        WIN32.binary_search_by_key(&number, |(code, _)| *code).ok().map(|at| WIN32[at].1)
    })
}

/// Win32 errors of which the table says nothing.
const WIN32: [(u32, &str); 48] = [
    (1, "ERROR_INVALID_FUNCTION"),
    (4, "ERROR_TOO_MANY_OPEN_FILES"),
    (6, "ERROR_INVALID_HANDLE"),
    (19, "ERROR_WRITE_PROTECT"),
    (33, "ERROR_LOCK_VIOLATION"),
    (38, "ERROR_HANDLE_EOF"),
    (39, "ERROR_HANDLE_DISK_FULL"),
    (64, "ERROR_NETNAME_DELETED"),
    (67, "ERROR_BAD_NET_NAME"),
    (80, "ERROR_FILE_EXISTS"),
    (82, "ERROR_CANNOT_MAKE"),
    (109, "ERROR_BROKEN_PIPE"),
    (110, "ERROR_OPEN_FAILED"),
    (111, "ERROR_BUFFER_OVERFLOW"),
    (120, "ERROR_CALL_NOT_IMPLEMENTED"),
    (170, "ERROR_BUSY"),
    (206, "ERROR_FILENAME_EXCED_RANGE"),
    (216, "ERROR_EXE_MACHINE_TYPE_MISMATCH"),
    (234, "ERROR_MORE_DATA"),
    (259, "ERROR_NO_MORE_ITEMS"),
    (303, "ERROR_DELETE_PENDING"),
    (350, "ERROR_FAIL_NOACTION_REBOOT"),
    (351, "ERROR_FAIL_SHUTDOWN"),
    (352, "ERROR_FAIL_RESTART"),
    (665, "ERROR_FILE_SYSTEM_LIMITATION"),
    (1013, "ERROR_CANTWRITE"),
    (1015, "ERROR_REGISTRY_CORRUPT"),
    (1016, "ERROR_REGISTRY_IO_FAILED"),
    (1017, "ERROR_NOT_REGISTRY_FILE"),
    (1018, "ERROR_KEY_DELETED"),
    (1053, "ERROR_SERVICE_REQUEST_TIMEOUT"),
    (1060, "ERROR_SERVICE_DOES_NOT_EXIST"),
    (1072, "ERROR_SERVICE_MARKED_FOR_DELETE"),
    (1115, "ERROR_SHUTDOWN_IN_PROGRESS"),
    (1307, "ERROR_INVALID_OWNER"),
    (1314, "ERROR_PRIVILEGE_NOT_HELD"),
    (1359, "ERROR_INTERNAL_ERROR"),
    (1393, "ERROR_DISK_CORRUPT"),
    (1601, "ERROR_INSTALL_SERVICE_FAILURE"),
    (1619, "ERROR_INSTALL_PACKAGE_OPEN_FAILED"),
    (1620, "ERROR_INSTALL_PACKAGE_INVALID"),
    (1625, "ERROR_INSTALL_PACKAGE_REJECTED"),
    (1638, "ERROR_PRODUCT_VERSION"),
    (1641, "ERROR_SUCCESS_REBOOT_INITIATED"),
    (1722, "RPC_S_SERVER_UNAVAILABLE"),
    (4390, "ERROR_NOT_A_REPARSE_POINT"),
    (4392, "ERROR_INVALID_REPARSE_DATA"),
    (6000, "ERROR_ENCRYPTION_FAILED"),
];

impl fmt::Display for Found {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.code)?;
        if let Some(name) = self.name.or(self.parts.win32) {
            write!(out, "  {name}")?;
        }
        writeln!(out, "  (as a number: {})", self.signed)?;
        let rows = [
            ("means", Some(self.meaning.as_str())),
            ("Windows", self.windows_says),
            ("causes", self.causes),
            ("do", self.what_to_do),
            ("transom", self.transom_says),
        ];
        for (name, text) in rows {
            if let Some(text) = text {
                write_wrapped(name, text, out)?;
            }
        }
        let Parts { form, facility, facility_name, number, .. } = &self.parts;
        write!(out, "      bits      {form}, facility 0x{facility:x}")?;
        if let Some(name) = facility_name {
            write!(out, " ({name})")?;
        }
        writeln!(out, ", code {number} (0x{number:x})")?;
        if !self.documented && self.causes.is_some() {
            writeln!(
                out,
                "      note      known from reports, not from documentation: take it as a hint"
            )?;
        }
        Ok(())
    }
}

/// A text behind its name, in lines of a width that can be read.
fn write_wrapped(name: &str, text: &str, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    /// Characters of a line.
    const WIDTH: usize = 84;
    let mut line = String::new();
    let mut title = name;
    for word in text.split(' ') {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
            writeln!(out, "      {title:<8}  {line}")?;
            title = "";
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    writeln!(out, "      {title:<8}  {line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Found {
        let mut found = find(text);
        assert_eq!(found.len(), 1, "{text}: {found:#?}");
        found.remove(0)
    }

    #[test]
    fn the_table_is_in_order_and_complete() {
        let rows: Vec<Row> = rows().collect();
        assert_eq!(rows.len(), TABLE.lines().count());
        assert!(rows.windows(2).all(|two| two[0].code < two[1].code));
        for row in &rows {
            let [name, sure, meaning, _, causes, to_do, _] = row.fields;
            let code = row.code;
            assert!(["=", "~"].contains(&sure), "{code:x}");
            assert!(!meaning.is_empty() && !causes.is_empty() && !to_do.is_empty(), "{code:x}");
            assert!(sure == "~" || !name.is_empty(), "{code:x} is documented and has no name");
        }
        let of = |facility: u32| rows.iter().filter(|row| row.code >> 16 == facility).count();
        assert!(of(0x800f) >= 40 && of(0x8007) >= 40 && of(0x8024) >= 12 && of(0xe000) >= 12);
        assert!(WIN32.windows(2).all(|two| two[0].0 < two[1].0));
    }

    #[test]
    fn a_code_is_found_in_every_form() {
        for text in [
            "0x800f081e",
            "0X800F081E",
            "800f081e",
            "2148468766",
            "-2146498530",
            "cbs_e_not_applicable",
            "Error: 0x800f081e",
            "0xffffffff800f081e",
            "dism failed with 0x800F081E.",
        ] {
            let found = one(text);
            assert_eq!(found.code, "0x800f081e", "{text}");
            assert!(found.documented && found.windows_says.unwrap().contains("not applicable"));
        }
        assert_eq!(one("87").name, Some("ERROR_INVALID_PARAMETER"));
        assert_eq!(one("0x57").code, "0x80070057");
        assert_eq!(one("80070002").name, Some("ERROR_FILE_NOT_FOUND"));
        assert_eq!(one("3010").name, Some("ERROR_SUCCESS_REBOOT_REQUIRED"));
    }

    #[test]
    fn words_of_what_windows_says_find_the_code() {
        let first = |text: &str| find(text).first().map(|found| found.code.clone());
        for (text, code) in [
            ("source files could not be found", "0x800f081f"),
            ("the specified package is not applicable to this image", "0x800f081e"),
            ("component store has been corrupted", "0x80073712"),
            ("newer servicing stack", "0x800f0823"),
            ("feature name is unknown", "0x800f080c"),
            ("hash for the file is not present in the specified catalog", "0xe000024b"),
            ("directory could not be completely unmounted", "0xc1420117"),
        ] {
            assert_eq!(first(text).as_deref(), Some(code), "{text}: {:#?}", find(text));
        }
        for text in
            ["server", "nosuch.toml", "purple elephants dancing", "services.RemoteRegistry", ""]
        {
            assert!(find(text).is_empty(), "{text}: {:?}", first(text));
        }
    }

    #[test]
    fn an_unknown_code_is_taken_apart() {
        let found = one("0x800706ba");
        assert_eq!(found.parts.win32, Some("RPC_S_SERVER_UNAVAILABLE"));
        assert!(!found.documented);
        let found = one("0x800f09ff");
        assert!(found.parts.facility_name.unwrap().contains("CBS"), "{found:?}");
        let found = one("0xe00002ff");
        assert!(found.parts.facility_name.unwrap().contains("driver"), "{found:?}");
        let found = one("0x8abc1234");
        assert_eq!((found.parts.facility, found.parts.number), (0x2bc, 0x1234));
        assert!(found.to_string().contains("does not know it"), "{found}");
    }

    #[test]
    fn nothing_is_a_panic() {
        for text in ["0x", "0xzz", "-", "-99999999999", "99999999999999", "0x123456789", "ü ü ü"]
        {
            assert!(find(text).len() <= MOST, "{text}");
        }
    }
}
