//! Settings that a recipe itself gives: an answer file without architecture, laid over the recipe's file or standing alone.
//!
//! As text it is part of the step's parameters; secrets in it are placeholders. The architecture comes with the image.

use crate::{
    base::secret::is_free_of_placeholders,
    format::unattend::{AnswerFile, AnswerFileError, Element, Pass, PassName},
};

/// Settings of a recipe.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct TypedSettings(String);

impl TypedSettings {
    /// The settings of `file`, whatever architecture its components say.
    ///
    /// # Errors
    /// When there is more in it than an answer file can have.
    pub fn new(file: &AnswerFile) -> Result<Self, AnswerFileError> {
        let text = file.to_text();
        AnswerFile::parse(text.as_bytes())?;
        Ok(Self(text))
    }

    /// Lays the settings over `file`, as components for `architecture`: single settings replace, lists replace whole lists, the rest of the file stays.
    /// What cannot stand beside a setting of the recipe goes, and so does a whole pass that is marked as processed: Setup would skip what is laid into it.
    /// Gives what of the file was replaced: `specialize Microsoft-Windows-Shell-Setup/ComputerName`.
    pub fn lay_over(&self, file: &mut AnswerFile, architecture: &str) -> Vec<String> {
        let mut replaced = Vec::new();
        let own = self.file();
        for pass in own.passes {
            let below = file.pass_mut(pass.name);
            if below.was_processed() {
                *below = Pass::new(pass.name);
                replaced.push(format!("{} (marked as processed)", pass.name));
            }
            for component in pass.components {
                let place = format!("{} {}", pass.name, component.name);
                let target = below.component_mut(&component.name, architecture);
                merge(&mut target.settings, component.settings, &place, &mut replaced);
            }
        }
        file.sort();
        replaced
    }

    /// The settings alone, as components for `architecture`.
    #[must_use]
    pub fn alone(&self, architecture: &str) -> AnswerFile {
        let mut file = AnswerFile::default();
        self.lay_over(&mut file, architecture);
        file
    }

    /// True when secrets belong into them.
    #[must_use]
    pub fn has_secrets(&self) -> bool {
        !is_free_of_placeholders(&self.0)
    }

    /// The passes that they are for.
    #[must_use]
    pub fn passes(&self) -> Vec<PassName> {
        self.file().passes.iter().map(|pass| pass.name).collect()
    }

    fn file(&self) -> AnswerFile {
        // It was read when the settings were made.
        AnswerFile::parse(self.0.as_bytes()).unwrap_or_default().without_places()
    }
}

/// The depth is bounded by the reader's.
fn merge(under: &mut Vec<Element>, over: Vec<Element>, path: &str, replaced: &mut Vec<String>) {
    let is_item = |element: &Element| element.configuration("action") == Some("add");
    // Lists first: all items of the file go, before the first of ours comes.
    let mut lists: Vec<&str> = Vec::new();
    for element in over.iter().filter(|element| is_item(element)) {
        if !lists.contains(&element.name.as_str()) {
            lists.push(&element.name);
        }
    }
    for name in lists {
        let count = under.len();
        under.retain(|element| !element.is(name));
        if under.len() < count {
            replaced.push(format!("{path}/{name}"));
        }
    }
    for given in &over {
        for name in excluded(given, &over, path) {
            let count = under.len();
            under.retain(|element| !element.is(name));
            if under.len() < count {
                replaced.push(format!("{path}/{name}"));
            }
        }
    }
    for element in over {
        let path = format!("{path}/{}", element.name);
        let same = under.iter_mut().find(|other| other.is(&element.name) && !is_item(&element));
        match same {
            None => under.push(element),
            Some(other) if !element.children.is_empty() && !other.children.is_empty() => {
                merge(&mut other.children, element.children, &path, replaced);
            }
            Some(other) => {
                if other.text != element.text || other.children != element.children {
                    replaced.push(path);
                }
                *other = element;
            }
        }
    }
}

/// Settings that Setup does not take beside one another.
const EXCLUSIVE: [(&str, &str); 2] =
    [("JoinDomain", "JoinWorkgroup"), ("InstallTo", "InstallToAvailablePartition")];

/// What of a file cannot stay beside the setting `given`, which stands with others (`over`) at `path`.
fn excluded<'a>(
    given: &'a Element,
    over: &'a [Element],
    path: &'a str,
) -> impl Iterator<Item = &'static str> + 'a {
    let has = |name: &str| over.iter().any(|element| element.is(name));
    let other = EXCLUSIVE
        .into_iter()
        .flat_map(|(one, other)| [(one, other), (other, one)])
        .filter(|(one, _)| given.is(one))
        .map(|(_, other)| other);
    // Another account's domain; without one, the account is of the computer.
    let of_account = given.is("Username") && path.ends_with("/AutoLogon");
    other.chain(of_account.then_some("Domain")).filter(move |name| !has(name))
}

#[cfg(test)]
mod tests {
    use crate::format::unattend::{Attribute, Namespace};

    use super::*;

    fn settings(inside: &str) -> AnswerFile {
        let text = format!(
            "<unattend xmlns=\"urn:schemas-microsoft-com:unattend\" xmlns:wcm=\"http://schemas.microsoft.com/WMIConfig/2002/State\">\
             <settings pass=\"oobeSystem\"><component name=\"C\" processorArchitecture=\"amd64\" publicKeyToken=\"31bf3856ad364e35\" language=\"neutral\" versionScope=\"nonSxS\">\
             {inside}</component></settings></unattend>"
        );
        AnswerFile::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn settings_replace_lists_replace_whole_lists() {
        let typed = TypedSettings::new(&settings(
            "<G><A>1</A></G><L><I wcm:action=\"add\"><Order>1</Order></I></L><S>same</S>",
        ))
        .unwrap();
        let mut file = settings(
            "<G><A>0</A><B>stays</B></G><L><I wcm:action=\"add\"><Order>7</Order></I><I wcm:action=\"add\"><Order>8</Order></I></L><S>same</S>",
        );
        let replaced = typed.lay_over(&mut file, "amd64");
        assert_eq!(replaced, ["oobeSystem C/G/A", "oobeSystem C/L/I"]);
        let expected = settings(
            "<G><A>1</A><B>stays</B></G><L><I wcm:action=\"add\"><Order>1</Order></I></L><S>same</S>",
        );
        assert_eq!(file.without_places(), expected.without_places());
        // For another architecture it is another component.
        let mut file = settings("<S>x</S>");
        assert!(typed.lay_over(&mut file, "arm64").is_empty());
        assert_eq!(file.passes[0].components.len(), 2);
        assert_eq!(typed.passes(), [PassName::OobeSystem]);
        assert!(!typed.has_secrets());
    }
    fn laid(over: &str, file: &mut AnswerFile) -> Vec<String> {
        TypedSettings::new(&settings(over)).unwrap().lay_over(file, "amd64")
    }

    #[test]
    fn a_pass_that_setup_would_skip_is_replaced() {
        let mut file = settings("<A>old</A><B>goes</B>");
        file.passes[0].attributes.push(Attribute {
            namespace: Namespace::None,
            name: "wasPassProcessed".to_owned(),
            value: "true".to_owned(),
        });
        assert!(file.passes[0].was_processed());
        assert_eq!(laid("<A>new</A>", &mut file), ["oobeSystem (marked as processed)"]);
        assert!(!file.passes[0].was_processed());
        assert_eq!(file.without_places(), settings("<A>new</A>").without_places());
    }

    #[test]
    fn what_cannot_stand_beside_a_setting_goes() {
        for (over, under, replaced, left) in [
            (
                "<I><JoinDomain>d</JoinDomain></I>",
                "<I><JoinWorkgroup>w</JoinWorkgroup></I>",
                "I/JoinWorkgroup",
                "<I><JoinDomain>d</JoinDomain></I>",
            ),
            (
                "<I><JoinWorkgroup>w</JoinWorkgroup></I>",
                "<I><JoinDomain>d</JoinDomain></I>",
                "I/JoinDomain",
                "<I><JoinWorkgroup>w</JoinWorkgroup></I>",
            ),
            (
                "<O><InstallTo><DiskID>0</DiskID></InstallTo></O>",
                "<O><InstallToAvailablePartition>true</InstallToAvailablePartition></O>",
                "O/InstallToAvailablePartition",
                "<O><InstallTo><DiskID>0</DiskID></InstallTo></O>",
            ),
            (
                "<AutoLogon><Username>u</Username></AutoLogon>",
                "<AutoLogon><Domain>corp</Domain><Username>u</Username></AutoLogon>",
                "AutoLogon/Domain",
                "<AutoLogon><Username>u</Username></AutoLogon>",
            ),
        ] {
            let mut file = settings(under);
            assert_eq!(laid(over, &mut file), [format!("oobeSystem C/{replaced}")]);
            assert_eq!(file.without_places(), settings(left).without_places());
        }
        // A logon that the recipe only counts keeps its domain, and so does a domain user of another group.
        let mut file = settings(
            "<AutoLogon><Domain>corp</Domain></AutoLogon><Credentials><Domain>d</Domain></Credentials>",
        );
        let over = "<AutoLogon><LogonCount>2</LogonCount></AutoLogon><Credentials><Username>u</Username></Credentials>";
        assert!(laid(over, &mut file).is_empty());
    }

    #[test]
    fn settings_that_nobody_can_read_again_are_refused() {
        let mut deep = Element::with_text("E", "x");
        for _ in 0..300 {
            deep = Element::with_children("E", vec![deep]);
        }
        let mut file = settings("");
        file.passes[0].components[0].settings.push(deep);
        assert!(TypedSettings::new(&file).unwrap_err().cause.contains("deeper"));
    }
}
