//! Settings that a recipe itself gives: an answer file without architecture, laid over the recipe's file or standing alone.
//!
//! As text it is part of the step's parameters; secrets in it are placeholders. The architecture comes with the image.

use crate::{
    base::secret::is_free_of_placeholders,
    format::unattend::{AnswerFile, Element, PassName},
};

/// Settings of a recipe.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct TypedSettings(String);

impl TypedSettings {
    /// The settings of `file`, whatever architecture its components say.
    #[must_use]
    pub fn new(file: &AnswerFile) -> Self {
        Self(file.to_text())
    }

    /// Lays the settings over `file`, as components for `architecture`: single settings replace, lists replace whole lists, the rest of the file stays.
    /// Gives what of the file was replaced: `specialize Microsoft-Windows-Shell-Setup/ComputerName`.
    pub fn lay_over(&self, file: &mut AnswerFile, architecture: &str) -> Vec<String> {
        let mut replaced = Vec::new();
        let own = self.file();
        for pass in own.passes {
            let below = file.pass_mut(pass.name);
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
        // What was serialised can be read; a fault of the program would show as an empty file.
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

#[cfg(test)]
mod tests {
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
        ));
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
}
