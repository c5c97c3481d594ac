//! Security descriptors as text (SDDL): `O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;0x1200a9;;;BU)`.
//!
//! Read: owner, group, both lists with their flags, and entries that hold rights and a SID. Entries for object types, with conditions or
//! resource attributes are refused by name; files seldom have them. Identities of a domain or of one machine (`DA`, `LA` ...) are refused too:
//! an offline image has no domain; the full `S-1-5-21-...` can be written instead.

use super::{
    descriptor::{
        Ace, Acl, DACL_AUTO_INHERIT_REQUIRED, DACL_AUTO_INHERITED, DACL_PRESENT, DACL_PROTECTED,
        SACL_AUTO_INHERIT_REQUIRED, SACL_AUTO_INHERITED, SACL_PRESENT, SACL_PROTECTED,
        SecurityDescriptor, Sid,
    },
    sddl_names::{FLAGS, KINDS, LABEL_RIGHTS, LOCAL_SIDS, OTHER_KINDS, RIGHTS, SIDS},
};

/// Why a text is not a security descriptor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("SDDL: {what} (at character {})", .offset + 1)]
pub struct SddlError {
    /// What is wrong.
    pub what: String,
    /// Where, in bytes from the start of the text.
    pub offset: usize,
}

/// An access list as large as its 16-bit size allows, in bytes.
const LARGEST_ACL: usize = 0xffff;
const LABEL: u8 = 0x11;

/// Reads the text form.
///
/// # Errors
/// When the text is not SDDL, or uses what is not read here.
pub fn parse_sddl(text: &str) -> Result<SecurityDescriptor, SddlError> {
    let mut parser = Parser { text, position: 0 };
    let mut descriptor = SecurityDescriptor::default();
    let mut seen = String::new();
    parser.blanks();
    while let Some(section) = parser.peek() {
        let start = parser.position;
        if !"OGDS".contains(section) || !parser.rest()[1..].starts_with(':') {
            return Err(parser.error(start, "`O:`, `G:`, `D:` or `S:` expected"));
        }
        if seen.contains(section) {
            return Err(parser.error(start, &format!("`{section}:` is given twice")));
        }
        seen.push(section);
        parser.position += 2;
        parser.blanks();
        match section {
            'O' => descriptor.owner = Some(parser.sid()?),
            'G' => descriptor.group = Some(parser.sid()?),
            'D' => {
                descriptor.dacl = parser.acl(
                    &mut descriptor.control,
                    DACL_PRESENT,
                    [DACL_PROTECTED, DACL_AUTO_INHERITED, DACL_AUTO_INHERIT_REQUIRED],
                )?;
            }
            _ => {
                descriptor.sacl = parser.acl(
                    &mut descriptor.control,
                    SACL_PRESENT,
                    [SACL_PROTECTED, SACL_AUTO_INHERITED, SACL_AUTO_INHERIT_REQUIRED],
                )?;
            }
        }
        parser.blanks();
    }
    if seen.is_empty() {
        return Err(parser.error(0, "the text is empty"));
    }
    Ok(descriptor)
}

struct Parser<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.position..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn error(&self, offset: usize, what: &str) -> SddlError {
        SddlError { what: what.to_owned(), offset }
    }

    fn blanks(&mut self) {
        self.position += self.rest().len() - self.rest().trim_start().len();
    }

    /// The text up to one of `ends` or the end.
    fn until(&mut self, ends: &[char]) -> &'a str {
        let rest = self.rest();
        let length = rest.find(ends).unwrap_or(rest.len());
        self.position += length;
        &rest[..length]
    }

    /// A SID in the `O:` or `G:` section: its end is not marked, so letters are taken by two, and `S-1-...` as far as it goes.
    fn sid(&mut self) -> Result<Sid, SddlError> {
        let (start, rest) = (self.position, self.rest());
        let length = if rest.get(..2).is_some_and(|head| head.eq_ignore_ascii_case("S-")) {
            let tail =
                |character: char| !character.is_ascii_hexdigit() && !"-xX".contains(character);
            let all = 1 + rest[1..].find(tail).unwrap_or(rest.len() - 1);
            // `D:` of the next section begins with a hexadecimal digit.
            if rest[all..].starts_with(':') { all - 1 } else { all }
        } else {
            2
        };
        let text = rest.get(..length).unwrap_or(rest);
        self.position += text.len();
        named_sid(text).map_err(|what| self.error(start, &what))
    }

    fn acl(
        &mut self,
        control: &mut u16,
        present: u16,
        [protected, inherited, required]: [u16; 3],
    ) -> Result<Option<Acl>, SddlError> {
        *control |= present;
        let start = self.position;
        let mut null = false;
        loop {
            let rest = self.rest();
            let (length, bit) = if rest.starts_with("NO_ACCESS_CONTROL") {
                null = true;
                (17, 0)
            } else if rest.starts_with("AI") {
                (2, inherited)
            } else if rest.starts_with("AR") {
                (2, required)
            } else if rest.starts_with('P') {
                (1, protected)
            } else {
                break;
            };
            *control |= bit;
            self.position += length;
        }
        let mut acl = Acl::new();
        self.blanks();
        while self.rest().starts_with('(') {
            let entry = self.ace()?;
            acl.aces.push(entry);
            self.blanks();
        }
        if acl.size() > LARGEST_ACL {
            return Err(self.error(start, "the list is larger than 64 KiB"));
        }
        if null && !acl.aces.is_empty() {
            return Err(self.error(start, "a list without access control cannot have entries"));
        }
        Ok((!null).then_some(acl))
    }

    fn ace(&mut self) -> Result<Ace, SddlError> {
        let start = self.position;
        self.position += 1;
        let mut fields = Vec::new();
        loop {
            let offset = self.position;
            fields.push((offset, self.until(&[';', ')', '(']).trim()));
            let end = self.peek();
            if end.is_none() || end == Some('(') {
                return Err(self.error(start, "`)` is missing at the end of this entry"));
            }
            self.position += 1;
            if end == Some(')') {
                break;
            }
        }
        let [kind, flags, rights, object, inherited_object, sid] = fields[..] else {
            let what = format!("an entry has 6 fields between `;`, this one has {}", fields.len());
            return Err(self.error(start, &what));
        };
        let fail = |(offset, _): (usize, &str), what: String| SddlError { what, offset };
        let kind_code = code(KINDS, kind.1).ok_or_else(|| match code(OTHER_KINDS, kind.1) {
            Some(what) => fail(kind, format!("{what} (`{}`) are not supported", kind.1)),
            None => fail(kind, format!("`{}` is not a type of entry", kind.1)),
        })?;
        for field in [object, inherited_object] {
            if !field.1.is_empty() {
                return Err(fail(field, "entries for object types are not supported".to_owned()));
            }
        }
        let flag_bits = pairs(FLAGS, flags.1)
            .ok_or_else(|| fail(flags, format!("`{}` are not flags of an entry", flags.1)))?;
        let right_bits = rights_of(rights.1, kind_code)
            .ok_or_else(|| fail(rights, format!("`{}` are not access rights", rights.1)))?;
        let who = named_sid(sid.1).map_err(|what| fail(sid, what))?;
        let flag_bits = flag_bits.iter().fold(0, |bits, bit| bits | bit);
        Ok(Ace::new(kind_code, flag_bits, right_bits, &who))
    }
}

fn code<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    table.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, code)| *code)
}

/// The codes of names of two letters written one behind the other.
fn pairs<T: Copy>(table: &[(&str, T)], text: &str) -> Option<Vec<T>> {
    text.as_bytes().chunks(2).map(|pair| code(table, std::str::from_utf8(pair).ok()?)).collect()
}

fn rights_of(text: &str, kind: u8) -> Option<u32> {
    if text.starts_with(|character: char| character.is_ascii_digit()) {
        let lower = text.to_ascii_lowercase();
        return match lower.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => lower.parse().ok(),
        };
    }
    let table = if kind == LABEL { LABEL_RIGHTS } else { RIGHTS };
    Some(pairs(table, text)?.into_iter().fold(0, |bits, bit| bits | bit))
}

fn named_sid(text: &str) -> Result<Sid, String> {
    if let Some((_, authority, parts)) =
        SIDS.iter().find(|(name, _, _)| name.eq_ignore_ascii_case(text))
    {
        return Sid::new(*authority, parts).ok_or_else(|| "not an identity".to_owned());
    }
    if LOCAL_SIDS.iter().any(|name| name.eq_ignore_ascii_case(text)) {
        return Err(format!(
            "`{text}` is an identity of a domain or of one machine, which an offline image does not have; write its `S-1-5-21-...`"
        ));
    }
    Sid::parse_text(text).ok_or_else(|| format!("`{text}` is not an identity"))
}

/// The text form. What has no text form here (entries for object types, conditions) appears as `(0x5;...)` with its bytes, which cannot be read back.
#[must_use]
pub fn to_sddl(descriptor: &SecurityDescriptor) -> String {
    let mut text = String::new();
    for (letter, sid) in [("O:", &descriptor.owner), ("G:", &descriptor.group)] {
        if let Some(sid) = sid {
            text.push_str(letter);
            text.push_str(&sid_name(sid));
        }
    }
    let lists = [
        (
            "D:",
            &descriptor.dacl,
            DACL_PRESENT,
            [DACL_PROTECTED, DACL_AUTO_INHERIT_REQUIRED, DACL_AUTO_INHERITED],
        ),
        (
            "S:",
            &descriptor.sacl,
            SACL_PRESENT,
            [SACL_PROTECTED, SACL_AUTO_INHERIT_REQUIRED, SACL_AUTO_INHERITED],
        ),
    ];
    for (letter, acl, present, bits) in lists {
        if acl.is_none() && descriptor.control & present == 0 {
            continue;
        }
        text.push_str(letter);
        for (bit, flag) in bits.into_iter().zip(["P", "AR", "AI"]) {
            if descriptor.control & bit != 0 {
                text.push_str(flag);
            }
        }
        match acl {
            None => text.push_str("NO_ACCESS_CONTROL"),
            Some(acl) => acl.aces.iter().for_each(|ace| text.push_str(&ace_text(ace))),
        }
    }
    text
}

fn ace_text(ace: &Ace) -> String {
    let kind = KINDS.iter().find(|(_, code)| *code == ace.kind);
    let flags: String =
        FLAGS.iter().filter(|(_, bit)| ace.flags & bit != 0).map(|(name, _)| *name).collect();
    match (kind, ace.rights(), ace.sid()) {
        (Some((kind, _)), Some(rights), Some((sid, []))) => {
            format!("({kind};{flags};{};;;{})", rights_text(rights, ace.kind), sid_name(&sid))
        }
        _ => {
            let body = crate::base::digest::to_hex(&ace.body);
            format!("({:#x};{flags};{body})", ace.kind)
        }
    }
}

/// One name that means exactly these rights, names of generic rights one behind the other, or the number.
fn rights_text(rights: u32, kind: u8) -> String {
    let table = if kind == LABEL { LABEL_RIGHTS } else { &RIGHTS[..12] };
    if let Some((name, _)) = table.iter().find(|(_, bits)| *bits == rights) {
        return (*name).to_owned();
    }
    let single = |bits: u32| kind == LABEL || bits.is_power_of_two();
    let names: Vec<_> =
        table.iter().filter(|(_, bits)| single(*bits) && rights & bits != 0).collect();
    if rights != 0 && names.iter().fold(0, |all, (_, bits)| all | bits) == rights {
        return names.iter().map(|(name, _)| *name).collect();
    }
    format!("{rights:#x}")
}

fn sid_name(sid: &Sid) -> String {
    SIDS.iter()
        .find(|(_, authority, parts)| Sid::new(*authority, parts).as_ref() == Some(sid))
        .map_or_else(|| sid.to_string(), |(name, _, _)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_becomes_a_descriptor_and_text_again() {
        for text in [
            "O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;0x1200a9;;;BU)",
            "O:S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464G:SYD:P(D;;FA;;;WD)",
            "D:NO_ACCESS_CONTROL",
            "D:ARAIS:AI(ML;OICI;NWNR;;;LW)",
            "D:S:P(AU;SAFA;FA;;;WD)",
            "D:(A;OICIIO;SDGXGWGR;;;AU)",
            "G:S-1-5-21-1-2-3-513D:(A;OICIIO;GA;;;CO)",
        ] {
            let descriptor = parse_sddl(text).unwrap();
            assert_eq!(to_sddl(&descriptor), text);
            let bytes = descriptor.to_bytes();
            assert_eq!(to_sddl(&SecurityDescriptor::parse(&bytes).unwrap()), text);
        }
    }

    #[test]
    fn other_spellings_mean_the_same() {
        let same = |left: &str, right: &str| {
            assert_eq!(parse_sddl(left).unwrap(), parse_sddl(right).unwrap());
        };
        same("D:(A;;2032127;;;S-1-5-18)", "D:(A;;0x1F01FF;;;sy)");
        same(" O:BA D:(A;OICI;FA;;;BA) (A;;FR;;;WD)", "O:BAD:(A;OICI;FA;;;BA)(A;;FR;;;WD)");
        same("D:(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;SY)", "D:(A;;0xf01ff;;;SY)");
    }

    #[test]
    fn errors_say_what_and_where() {
        for (text, message) in [
            ("", "the text is empty (at character 1)"),
            ("X:BA", "`O:`, `G:`, `D:` or `S:` expected (at character 1)"),
            ("D:(A;;FA;;;BA", "`)` is missing at the end of this entry (at character 3)"),
            ("D:(A;;FA;;BA)", "an entry has 6 fields between `;`, this one has 5 (at character 3)"),
            ("D:(A;;FZ;;;BA)", "`FZ` are not access rights (at character 7)"),
            ("D:(A;OX;FA;;;BA)", "`OX` are not flags of an entry (at character 6)"),
            ("D:(Q;;FA;;;BA)", "`Q` is not a type of entry (at character 4)"),
            (
                "D:(XA;;FX;;;S-1-1-0)",
                "conditional entries (`XA`) are not supported (at character 4)",
            ),
            ("D:(A;;FA;;;ZZ)", "`ZZ` is not an identity (at character 12)"),
            ("O:BAO:BA", "`O:` is given twice (at character 5)"),
        ] {
            assert_eq!(parse_sddl(text).unwrap_err().to_string(), format!("SDDL: {message}"));
        }
        assert!(parse_sddl("O:DA").unwrap_err().what.contains("S-1-5-21"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[OGDS:AIPR();0-9a-fxS\\-é ]{0,60}") {
            drop(parse_sddl(&text));
        }
    }
}
