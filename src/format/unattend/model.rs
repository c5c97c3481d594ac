//! What an answer file says, with the place of everything in it.

use std::{fmt, sync::Arc};

/// Public key token of everything that is part of Windows.
pub const WINDOWS_TOKEN: &str = "31bf3856ad364e35";

/// Line and column of an element, both from 1; 0 for what was not read from a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

impl fmt::Display for Place {
    /// `12:5`
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.line, self.column)
    }
}

/// When Windows asks for settings, in the order of a plain installation.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub enum PassName {
    /// Setup, before the image is laid down; also Windows PE itself.
    #[serde(rename = "windowsPE")]
    WindowsPe,
    /// What is done to an image that is not running.
    OfflineServicing,
    /// `sysprep /generalize`.
    Generalize,
    /// The first boot, before anybody sees anything.
    Specialize,
    /// Audit mode, before a logon.
    AuditSystem,
    /// Audit mode, after the logon.
    AuditUser,
    /// Before the questions of the first start.
    OobeSystem,
}

impl PassName {
    /// All passes, in the order in which they are written.
    pub const ALL: [Self; 7] = [
        Self::WindowsPe,
        Self::OfflineServicing,
        Self::Generalize,
        Self::Specialize,
        Self::AuditSystem,
        Self::AuditUser,
        Self::OobeSystem,
    ];

    /// Its name: `oobeSystem`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WindowsPe => "windowsPE",
            Self::OfflineServicing => "offlineServicing",
            Self::Generalize => "generalize",
            Self::Specialize => "specialize",
            Self::AuditSystem => "auditSystem",
            Self::AuditUser => "auditUser",
            Self::OobeSystem => "oobeSystem",
        }
    }

    /// The pass of this name, in any letter case: documents mix `oobeSystem` and `OOBESystem`.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|pass| pass.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for PassName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// An answer file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AnswerFile {
    /// `<servicing>`: packages to install, remove, configure.
    pub servicing: Option<Element>,
    /// Its passes, in the order of the file; each once.
    pub passes: Vec<Pass>,
    /// What else stands below the root, in namespaces of others.
    pub others: Vec<Element>,
    /// Attributes of the root, declarations of namespaces left out.
    pub attributes: Vec<Attribute>,
}

/// The settings of a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// Which pass.
    pub name: PassName,
    /// The name as the file writes it, where that is another letter case.
    pub written: Option<String>,
    /// Other attributes: `wasPassProcessed`.
    pub attributes: Vec<Attribute>,
    /// Its components, in the order of the file.
    pub components: Vec<Component>,
    /// What else stands there, in namespaces of others.
    pub others: Vec<Element>,
    /// Where it stands.
    pub place: Place,
}

/// The settings of a component in one pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// Its name: `Microsoft-Windows-Shell-Setup`.
    pub name: String,
    /// The architecture it is for, in lower case: `amd64`, `wow64`.
    pub architecture: String,
    /// 16 hexadecimal digits.
    pub public_key_token: String,
    /// `neutral`.
    pub language: String,
    /// `nonSxS`; `None` when the file does not say.
    pub version_scope: Option<String>,
    /// Other attributes: `version`.
    pub attributes: Vec<Attribute>,
    /// Its settings, in the order of the file.
    pub settings: Vec<Element>,
    /// Where it stands.
    pub place: Place,
}

/// Whose an element or attribute is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Namespace {
    /// Nobody's: attributes without prefix, elements below `xmlns=""`.
    None,
    /// Answer files' own.
    Unattend,
    /// `wcm`: what happens to a setting.
    Configuration,
    /// XML's own, with the prefix `xml`.
    Xml,
    /// Another, by its name.
    Other(Arc<str>),
}

/// An attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Whose it is.
    pub namespace: Namespace,
    /// Its name, without prefix.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// An element below a component, below `<servicing>`, or of somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Whose it is.
    pub namespace: Namespace,
    /// Its name, without prefix.
    pub name: String,
    /// Its attributes, in the order of the file.
    pub attributes: Vec<Attribute>,
    /// Its text as written. White space alone is no text; beside child elements white space at both ends is taken off.
    pub text: String,
    /// Its child elements, in the order of the file.
    pub children: Vec<Self>,
    /// Where it stands.
    pub place: Place,
}

impl AnswerFile {
    /// The settings of a pass.
    #[must_use]
    pub fn pass(&self, name: PassName) -> Option<&Pass> {
        self.passes.iter().find(|pass| pass.name == name)
    }

    /// Takes a pass out.
    pub fn take_pass(&mut self, name: PassName) -> Option<Pass> {
        let position = self.passes.iter().position(|pass| pass.name == name)?;
        Some(self.passes.remove(position))
    }

    /// The settings of a pass, to be changed; an empty one is added where there is none.
    pub fn pass_mut(&mut self, name: PassName) -> &mut Pass {
        let position = self.passes.iter().position(|pass| pass.name == name);
        let position = position.unwrap_or_else(|| {
            self.passes.push(Pass::new(name));
            self.passes.len() - 1
        });
        &mut self.passes[position]
    }

    /// True when it asks for nothing: neither packages nor components.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.servicing.as_ref().is_none_or(|servicing| servicing.children.is_empty())
            && self.passes.iter().all(|pass| pass.components.is_empty())
    }

    /// Puts passes and components into the order in which they are generated: passes as they run, components by name and architecture, in
    /// `windowsPE` the language of Setup first.
    pub fn sort(&mut self) {
        self.passes.sort_by_key(|pass| pass.name);
        for pass in &mut self.passes {
            let windows_pe = pass.name == PassName::WindowsPe;
            pass.components.sort_by_cached_key(|component| {
                let first = windows_pe && component.name.contains("International-Core");
                (!first, component.name.to_lowercase(), component.architecture.clone())
            });
        }
    }

    /// The same without places: what two files must have in common to say the same.
    #[must_use]
    pub fn without_places(mut self) -> Self {
        self.servicing.iter_mut().chain(&mut self.others).for_each(Element::forget_places);
        for pass in &mut self.passes {
            pass.place = Place::default();
            pass.others.iter_mut().for_each(Element::forget_places);
            for component in &mut pass.components {
                component.place = Place::default();
                component.settings.iter_mut().for_each(Element::forget_places);
            }
        }
        self
    }
}

impl Pass {
    /// A pass without components.
    #[must_use]
    pub fn new(name: PassName) -> Self {
        Self {
            name,
            written: None,
            attributes: Vec::new(),
            components: Vec::new(),
            others: Vec::new(),
            place: Place::default(),
        }
    }

    /// True when it is marked as processed: Setup skips it.
    #[must_use]
    pub fn was_processed(&self) -> bool {
        attribute(&self.attributes, &Namespace::None, "wasPassProcessed")
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The component of this name and architecture, to be changed; an empty one of Windows is added where there is none.
    pub fn component_mut(&mut self, name: &str, architecture: &str) -> &mut Component {
        let is = |component: &Component| {
            component.name.eq_ignore_ascii_case(name) && component.architecture == architecture
        };
        let position = self.components.iter().position(is).unwrap_or_else(|| {
            self.components.push(Component::new(name, architecture));
            self.components.len() - 1
        });
        &mut self.components[position]
    }
}

impl Component {
    /// A component of Windows without settings.
    #[must_use]
    pub fn new(name: impl Into<String>, architecture: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            architecture: architecture.into(),
            public_key_token: WINDOWS_TOKEN.to_owned(),
            language: "neutral".to_owned(),
            version_scope: Some("nonSxS".to_owned()),
            attributes: Vec::new(),
            settings: Vec::new(),
            place: Place::default(),
        }
    }

    /// The first setting at a path of names: `["UserData", "ProductKey", "Key"]`.
    #[must_use]
    pub fn setting(&self, path: &[&str]) -> Option<&Element> {
        let (first, rest) = path.split_first()?;
        self.settings.iter().find(|element| element.is(first))?.at(rest)
    }
}

impl Element {
    /// An element of answer files without attributes and content.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            namespace: Namespace::Unattend,
            name: name.into(),
            attributes: Vec::new(),
            text: String::new(),
            children: Vec::new(),
            place: Place::default(),
        }
    }

    /// An element with text.
    #[must_use]
    pub fn with_text(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::new(name) }
    }

    /// An element with child elements.
    #[must_use]
    pub fn with_children(name: impl Into<String>, children: Vec<Self>) -> Self {
        Self { children, ..Self::new(name) }
    }

    /// The same with `wcm:action="add"`: an item of a list.
    #[must_use]
    pub fn added(mut self) -> Self {
        self.attributes.push(Attribute {
            namespace: Namespace::Configuration,
            name: "action".to_owned(),
            value: "add".to_owned(),
        });
        self
    }

    /// True when it is answer files' own element of this name.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.namespace == Namespace::Unattend && self.name == name
    }

    /// Its text without white space at both ends.
    #[must_use]
    pub fn value(&self) -> &str {
        self.text.trim()
    }

    /// The first child element of this name.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.is(name))
    }

    /// The child elements of this name.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.is(name))
    }

    /// The first element at a path of names below it; itself for the empty path.
    #[must_use]
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |element, name| element.child(name))
    }

    /// The value of an attribute without prefix.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        attribute(&self.attributes, &Namespace::None, name)
    }

    /// The value of an attribute with the prefix `wcm`: `action`, `keyValue`.
    #[must_use]
    pub fn configuration(&self, name: &str) -> Option<&str> {
        attribute(&self.attributes, &Namespace::Configuration, name)
    }

    /// True when it has neither text nor child elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.children.is_empty()
    }

    /// Recursion is bounded by the depth that the reader accepts.
    fn forget_places(&mut self) {
        self.place = Place::default();
        self.children.iter_mut().for_each(Self::forget_places);
    }
}

fn attribute<'a>(
    attributes: &'a [Attribute],
    namespace: &Namespace,
    name: &str,
) -> Option<&'a str> {
    attributes
        .iter()
        .find(|attribute| attribute.namespace == *namespace && attribute.name == name)
        .map(|attribute| attribute.value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_are_known_in_any_letter_case() {
        assert_eq!(PassName::of("OOBESystem"), Some(PassName::OobeSystem));
        assert_eq!(PassName::of("oobeUser"), None);
        for pass in PassName::ALL {
            assert_eq!(serde_json::to_string(&pass).unwrap(), format!("\"{pass}\""));
        }
        assert!(PassName::ALL.is_sorted());
    }

    #[test]
    fn the_order_of_generated_files_is_fixed() {
        let mut file = AnswerFile::default();
        file.pass_mut(PassName::OobeSystem).component_mut("b", "amd64");
        let windows_pe = file.pass_mut(PassName::WindowsPe);
        windows_pe.component_mut("Microsoft-Windows-Foo", "amd64");
        windows_pe.component_mut("Microsoft-Windows-Foo", "AMD64".to_lowercase().as_str());
        windows_pe.component_mut("Microsoft-Windows-International-Core-WinPE", "amd64");
        file.sort();
        let names: Vec<&str> = file.passes[0].components.iter().map(|one| &*one.name).collect();
        assert_eq!(names, ["Microsoft-Windows-International-Core-WinPE", "Microsoft-Windows-Foo"]);
        assert_eq!(file.passes[1].name, PassName::OobeSystem);
        assert!(!file.is_empty() && AnswerFile::default().is_empty());
    }
}
