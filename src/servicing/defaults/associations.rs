//! Default app associations: `Windows\System32\OEMDefaultAssociations.xml`, which each new user's profile takes its defaults from.
//!
//! ```xml
//! <DefaultAssociations>
//!   <Association Identifier=".pdf" ProgId="AcroExch.Document.DC" ApplicationName="Adobe Acrobat" ApplyOnUpgrade="true" OverwriteIfProgIdIs="AppX..."/>
//! </DefaultAssociations>
//! ```
//!
//! The format is that of `dism /Export-DefaultAppAssociations`. Importing merges by identifier, without regard to letter case.

use crate::format::cbs::{CbsError, xml::Element};

/// Associations in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Associations {
    /// Attributes of the root.
    attributes: Vec<(String, String)>,
    pub(super) entries: Vec<Association>,
}

/// What opens a kind of file or link.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Association {
    /// `.pdf`, `https`.
    pub(super) identifier: String,
    /// The class below HKCR that opens it.
    pub(super) prog_id: String,
    /// All attributes, in order.
    attributes: Vec<(String, String)>,
}

/// Something odd or wrong: line, column, cause, help.
pub(super) type Defect = (u32, u32, String, String);

/// Attributes of an association that Microsoft documents.
const KNOWN: [&str; 6] = [
    "Identifier",
    "ProgId",
    "ApplicationName",
    "ApplyOnUpgrade",
    "OverwriteIfProgIdIs",
    "Suggested",
];
const HELP: &str = "`dism /Online /Export-DefaultAppAssociations:FILE` writes such a file";

impl Associations {
    /// Reads a file that a person gives: what is odd about it comes with it.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub(super) fn read(bytes: &[u8]) -> Result<(Self, Vec<Defect>), Defect> {
        let root = Element::parse(bytes).map_err(|error| defect(error, HELP))?;
        if root.name != "DefaultAssociations" {
            let cause = format!("the root element is <{}>, not <DefaultAssociations>", root.name);
            return Err(defect(root.error(cause), HELP));
        }
        let mut warnings = Vec::new();
        for (name, _) in root.attributes.iter().filter(|(name, _)| name != "Version") {
            let cause = format!("<DefaultAssociations> has no attribute `{name}`");
            warnings.push(defect(root.error(cause), "Windows may ignore it"));
        }
        let mut read = Self { attributes: root.attributes.clone(), entries: Vec::new() };
        for element in &root.children {
            let entry = entry(element, &mut warnings)?;
            if let Some(first) = read.entries.iter().find(|other| other.is_for(&entry.identifier)) {
                let cause = format!("`{}` is given twice", first.identifier);
                return Err(defect(element.error(cause), "take one of the two out"));
            }
            read.entries.push(entry);
        }
        if read.entries.is_empty() {
            let cause = "it has no associations";
            warnings.push(defect(root.error(cause), "nothing is changed by it"));
        }
        Ok((read, warnings))
    }

    /// Reads the file of an image, of which only the sense counts.
    ///
    /// # Errors
    /// When it is no such file.
    pub(super) fn of_image(bytes: &[u8]) -> Result<Self, CbsError> {
        let root = Element::parse(bytes)?;
        if root.name != "DefaultAssociations" {
            return Err(root.error(format!("the root element is <{}>", root.name)));
        }
        let entries = root.children.iter().filter_map(|element| {
            Some(Association {
                identifier: element.attribute("Identifier")?.to_owned(),
                prog_id: element.attribute("ProgId").unwrap_or_default().to_owned(),
                attributes: element.attributes.clone(),
            })
        });
        Ok(Self { entries: entries.collect(), attributes: root.attributes.clone() })
    }

    /// This, with those of `other` in place of those with the same identifier, and behind them.
    pub(super) fn merged(&self, other: &Self) -> Self {
        let mut merged = self.clone();
        for (name, value) in &other.attributes {
            match merged.attributes.iter_mut().find(|(known, _)| known == name) {
                Some((_, old)) => old.clone_from(value),
                None => merged.attributes.push((name.clone(), value.clone())),
            }
        }
        for entry in &other.entries {
            let place = merged.entries.iter().position(|one| one.is_for(&entry.identifier));
            merged.entries.retain(|one| !one.is_for(&entry.identifier));
            let place = place.unwrap_or(merged.entries.len());
            merged.entries.insert(place, entry.clone());
        }
        merged
    }

    /// The file.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut text =
            String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<DefaultAssociations");
        push_attributes(&self.attributes, &mut text);
        text.push_str(">\r\n");
        for entry in &self.entries {
            text.push_str("  <Association");
            push_attributes(&entry.attributes, &mut text);
            text.push_str(" />\r\n");
        }
        text.push_str("</DefaultAssociations>\r\n");
        text.into_bytes()
    }
}

impl Association {
    fn is_for(&self, identifier: &str) -> bool {
        self.identifier.eq_ignore_ascii_case(identifier)
    }
}

fn entry(element: &Element, warnings: &mut Vec<Defect>) -> Result<Association, Defect> {
    if element.name != "Association" {
        let cause = format!("`<{}>` is not known here", element.name);
        return Err(defect(element.error(cause), "the file holds <Association> elements"));
    }
    let needed = |name: &str| {
        let value = element.attribute(name).filter(|value| !value.trim().is_empty());
        value.ok_or_else(|| defect(element.error(format!("<Association> without `{name}`")), HELP))
    };
    let (identifier, prog_id) = (needed("Identifier")?, needed("ProgId")?);
    if !is_identifier(identifier) {
        let cause = format!("`{identifier}` is neither a file type nor a protocol");
        return Err(defect(
            element.error(cause),
            "write `.pdf` for a file type, `https` for a protocol",
        ));
    }
    if element.attribute("ApplicationName").is_none() {
        let cause = format!("the association of `{identifier}` has no `ApplicationName`");
        warnings.push(defect(element.error(cause), HELP));
    }
    for (name, value) in &element.attributes {
        if !KNOWN.contains(&name.as_str()) {
            let near = KNOWN.iter().find(|known| known.eq_ignore_ascii_case(name));
            let help = near.map_or_else(
                || "Windows may ignore it".to_owned(),
                |near| format!("its name is `{near}`"),
            );
            let cause = format!("<Association> has no attribute `{name}`");
            warnings.push(defect(element.error(cause), &help));
        }
        let boolean = ["ApplyOnUpgrade", "Suggested"].contains(&name.as_str());
        if boolean && !["true", "false"].iter().any(|word| value.eq_ignore_ascii_case(word)) {
            let cause = format!("`{name}` is `true` or `false`, not `{value}`");
            return Err(defect(element.error(cause), ""));
        }
    }
    if let Some(child) = element.children.first() {
        let cause = format!("`<{}>` is not known here", child.name);
        return Err(defect(child.error(cause), "an <Association> holds no elements"));
    }
    Ok(Association {
        identifier: identifier.to_owned(),
        prog_id: prog_id.to_owned(),
        attributes: element.attributes.clone(),
    })
}

/// `.ext`, or the name of a protocol.
fn is_identifier(text: &str) -> bool {
    let plain = |c: char| !c.is_control() && !c.is_whitespace() && !"\\/:*?\"<>|".contains(c);
    match text.strip_prefix('.') {
        Some(extension) => !extension.is_empty() && extension.chars().all(plain),
        None => {
            text.starts_with(|c: char| c.is_ascii_alphabetic())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        }
    }
}

fn push_attributes(attributes: &[(String, String)], text: &mut String) {
    for (name, value) in attributes {
        let value = value
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('"', "&quot;")
            .replace('\t', "&#9;")
            .replace('\n', "&#10;")
            .replace('\r', "&#13;");
        text.extend([" ", name, "=\"", &value, "\""]);
    }
}

fn defect(error: CbsError, help: &str) -> Defect {
    (error.line, error.column, error.cause, help.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Associations, Vec<Defect>) {
        Associations::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_file_is_read_and_written() {
        let text = r#"<?xml version="1.0" encoding="UTF-8"?>
<DefaultAssociations Version="1">
  <Association Identifier=".pdf" ProgId="A&amp;B" ApplicationName="&quot;x&quot;" ApplyOnUpgrade="true" OverwriteIfProgIdIs="y"/>
  <Association Identifier="https" ProgId="C" ApplicationName="d"/>
</DefaultAssociations>"#;
        let (associations, warnings) = read(text);
        assert!(warnings.is_empty(), "{warnings:?}");
        assert_eq!(associations.entries.len(), 2);
        let bytes = associations.to_bytes();
        assert_eq!(Associations::of_image(&bytes).unwrap(), associations);
        assert_eq!(Associations::read(&bytes).unwrap().0.to_bytes(), bytes);
    }

    #[test]
    fn files_merge_by_identifier_in_place() {
        let one = |entries: &str| {
            read(&format!("<DefaultAssociations>{entries}</DefaultAssociations>")).0
        };
        let entry = |id: &str, prog: &str| {
            format!(r#"<Association Identifier="{id}" ProgId="{prog}" ApplicationName="x"/>"#)
        };
        let there = one(&(entry(".a", "1") + &entry(".b", "1") + &entry("http", "1")));
        let new = one(&(entry(".B", "2") + &entry(".c", "2")));
        let merged = there.merged(&new);
        let text: Vec<String> = merged
            .entries
            .iter()
            .map(|one| format!("{}={}", one.identifier, one.prog_id))
            .collect();
        assert_eq!(text, [".a=1", ".B=2", "http=1", ".c=2"]);
        assert_eq!(merged.merged(&new), merged, "once more changes nothing");
    }

    #[test]
    fn mistakes_have_a_place() {
        for (text, place, cause) in [
            ("<a/>", (1, 1), "the root element is <a>"),
            ("<DefaultAssociations>\n <X/></DefaultAssociations>", (2, 2), "`<X>` is not known"),
            (
                "<DefaultAssociations>\n  <Association ProgId='x'/></DefaultAssociations>",
                (2, 3),
                "without `Identifier`",
            ),
            (
                "<DefaultAssociations><Association Identifier='pdf file' ProgId='x'/></DefaultAssociations>",
                (1, 22),
                "neither a file type nor a protocol",
            ),
            (
                "<DefaultAssociations><Association Identifier='.a' ProgId='x'/>\n<Association Identifier='.A' ProgId='y'/></DefaultAssociations>",
                (2, 1),
                "given twice",
            ),
            ("<DefaultAssociations>", (1, 1), "not closed"),
        ] {
            let (line, column, found, _) = Associations::read(text.as_bytes()).unwrap_err();
            assert!(found.contains(cause), "{found}");
            assert_eq!((line, column), place, "{found}");
        }
        let text = "<DefaultAssociations><Association identifier='x' Identifier='.a' ProgId='x'/></DefaultAssociations>";
        let (_, warnings) = read(text);
        assert!(
            warnings.iter().any(|(_, _, _, help)| help.contains("`Identifier`")),
            "{warnings:?}"
        );
        assert!(warnings.iter().any(|(_, _, cause, _)| cause.contains("ApplicationName")));
    }
}
