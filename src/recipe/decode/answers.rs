//! `[unattend]`: settings that the recipe gives itself, as an answer file without architecture.
//!
//! Short forms and `settings` become the same elements; what is wrong with them the room's lint says, as it does of files, and every element knows
//! where in the recipe it stands. Here what it says is an error, for a recipe can be put right; what may only be newer than its table is a warning of the plan.

mod short;

use crate::{
    base::secret::{SecretForm, SecretRef, is_free_of_placeholders},
    format::unattend::{
        AnswerFile, Attribute, Element, Namespace, PassName, Place,
        catalogue::{self, ValueKind},
        password::HIDDEN_ELEMENTS,
    },
    recipe::{
        finding::{Finding, nearest, shown},
        node::{Entry, Node, Table, Value},
        source::Origin,
    },
    servicing::unattend::{Kind, TypedSettings, lint},
};

use super::Decoder;

/// An element of settings that names an item of a list instead of holding a setting.
const KEY_VALUE: &str = "wcm:keyValue";
/// Elements that are items of lists even when there is one.
const ITEMS: [&str; 15] = [
    "AsynchronousCommand",
    "CreatePartition",
    "DataImage",
    "Disk",
    "DomainAccount",
    "DomainAccountList",
    "FirewallGroup",
    "Interface",
    "LocalAccount",
    "MetaData",
    "ModifyPartition",
    "PathAndCredentials",
    "RunAsynchronousCommand",
    "RunSynchronousCommand",
    "SynchronousCommand",
];
/// Elements that tell items apart, so that they need no `wcm:keyValue`.
const KEYS: [&str; 6] = ["Order", "Name", "Key", "DiskID", "Identifier", "Domain"];
/// Elements whose text is a secret, and their parents where it depends.
const SECRETS: [&str; 3] = ["Password", "MachinePassword", "AccountData"];
const WAY_OUT: &str = "put it into an environment variable and write { env = \"NAME\" }";

/// An answer file being made of a recipe.
#[derive(Default)]
struct Answers {
    file: AnswerFile,
    /// Where the elements stand, by line of their place, from 1.
    origins: Vec<Origin>,
}

impl Answers {
    fn place(&mut self, origin: &Origin) -> Place {
        self.origins.push(origin.clone());
        Place { line: u32::try_from(self.origins.len()).unwrap_or(u32::MAX), column: 0 }
    }

    fn origin(&self, place: Place) -> Option<&Origin> {
        self.origins.get((place.line as usize).checked_sub(1)?)
    }

    /// Adds an element at a path below a component.
    fn add(
        &mut self,
        pass: PassName,
        component: &str,
        path: &[&str],
        element: Element,
        origin: &Origin,
    ) {
        let place = self.place(origin);
        let component = self.file.pass_mut(pass).component_mut(component, ANY);
        if component.place == Place::default() {
            component.place = place;
        }
        let mut list = &mut component.settings;
        for name in path {
            let position = list.iter().position(|other| other.is(name)).unwrap_or_else(|| {
                list.push(Element { place, ..Element::new(*name) });
                list.len() - 1
            });
            list = &mut list[position].children;
        }
        list.push(element);
    }

    fn text(&mut self, name: &str, text: impl Into<String>, origin: &Origin) -> Element {
        Element { place: self.place(origin), ..Element::with_text(name, text) }
    }
}

/// The architecture of components that are for the image's.
const ANY: &str = "amd64";

impl Decoder<'_> {
    /// The settings of the section; `None` when it gives none.
    pub(super) fn typed_settings(
        &mut self,
        table: &Table,
        section: &Origin,
    ) -> Option<TypedSettings> {
        let mut answers = Answers::default();
        let before = self.findings.len();
        self.short_forms(table, &mut answers);
        if let Some(settings) = table.get("settings").and_then(Node::table) {
            self.passes(settings, &mut answers);
        }
        if answers.file.is_empty() {
            return None;
        }
        let refused = self.findings.len() > before;
        for finding in lint(&answers.file) {
            // Older and newer versions are built too; what is empty may have held what was refused.
            if finding.kind == Kind::OldSetting
                || finding.may_be_right()
                || finding.kind == Kind::Empty && refused
            {
                continue;
            }
            let said = |origin: &Origin| {
                let mut labels = self.findings.iter().filter_map(|one| one.labels().next());
                labels.any(|label| label.origin == *origin)
            };
            if let Some(origin) = answers.origin(finding.place).filter(|origin| !said(origin)) {
                let (cause, help) = (finding.cause, finding.help);
                self.findings.push(Finding::at(origin, "recipe::setting", cause, "", help));
            }
        }
        answers.file.sort();
        match TypedSettings::new(&answers.file) {
            Ok(settings) => Some(settings),
            Err(error) => {
                let message = format!("the settings make no answer file: {}", error.cause);
                self.refuse(section, message, error.help);
                None
            }
        }
    }

    fn passes(&mut self, table: &Table, answers: &mut Answers) {
        for entry in table.entries() {
            let Some(pass) = PassName::ALL.into_iter().find(|pass| pass.name() == entry.key) else {
                let names = PassName::ALL.map(PassName::name);
                let help = match nearest(&entry.key, names) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("the passes are {}", names.join(", ")),
                };
                let message = format!("`{}` is not a pass", shown(&entry.key));
                self.refuse(&entry.origin, message, help);
                continue;
            };
            let Some(components) = entry.node.table() else {
                self.refuse(&entry.origin, "a pass holds components", COMPONENT_HELP);
                continue;
            };
            for component in components.entries() {
                self.component(pass, component, answers);
            }
        }
    }

    fn component(&mut self, pass: PassName, entry: &Entry, answers: &mut Answers) {
        let Some(settings) = entry.node.table() else {
            self.refuse(&entry.origin, "a component holds settings", COMPONENT_HELP);
            return;
        };
        // Those that are not known here are taken, but not whatever text.
        if entry.key.is_empty() || self.setting_text(&entry.key, &entry.origin).is_none() {
            if entry.key.is_empty() {
                self.refuse(&entry.origin, "a component has a name", COMPONENT_HELP);
            }
            return;
        }
        let place = answers.place(&entry.origin);
        let elements = self.elements(settings, &Inside::of(&entry.key), answers);
        let component = answers.file.pass_mut(pass).component_mut(&entry.key, ANY);
        component.place = place;
        for element in elements {
            join(&mut component.settings, element);
        }
    }

    /// The elements of a table. The depth is bounded by the reader of recipes.
    fn elements(
        &mut self,
        table: &Table,
        inside: &Inside<'_>,
        answers: &mut Answers,
    ) -> Vec<Element> {
        let mut elements = Vec::new();
        if let Some(key) = table.get(KEY_VALUE) {
            match (key.text(), &key.value) {
                (Some(text), _) => drop(self.setting_text(text, &key.origin)),
                (None, Value::Broken) => {}
                (None, _) => self.refuse(&key.origin, "wcm:keyValue is a text", "put it in quotes"),
            }
        }
        for entry in table.entries().iter().filter(|entry| entry.key != KEY_VALUE) {
            if !is_element_name(&entry.key) {
                let message = format!("`{}` is not the name of a setting", shown(&entry.key));
                let help = "settings are called as in Microsoft's reference: ComputerName";
                self.refuse(&entry.origin, message, help);
                continue;
            }
            let below = inside.below(&entry.key);
            let single = std::slice::from_ref(&entry.node);
            let nodes = match &entry.node.value {
                Value::List(_) if below.is_single() => {
                    let message = format!("{} takes one value, not a list", entry.key);
                    self.refuse(&entry.node.origin, message, "keep one of them");
                    continue;
                }
                Value::List(nodes) => nodes.as_slice(),
                _ if ITEMS.contains(&entry.key.as_str()) => single,
                _ => {
                    elements.extend(self.element(entry, &entry.node, &below, answers));
                    continue;
                }
            };
            for (index, node) in nodes.iter().enumerate() {
                let Some(element) = self.element(entry, node, &below, answers) else { continue };
                elements.push(item(element, node, index + 1, &below, answers));
            }
        }
        elements
    }

    fn element(
        &mut self,
        entry: &Entry,
        node: &Node,
        inside: &Inside<'_>,
        answers: &mut Answers,
    ) -> Option<Element> {
        let name = entry.key.as_str();
        let text = match &node.value {
            Value::Text(_) | Value::Integer(_) | Value::Boolean(_) if inside.is_secret(name) => {
                let message = format!("{name} stands in the recipe");
                self.refuse(&node.origin, message, WAY_OUT);
                return None;
            }
            Value::Text(text) => self.setting_text(text, &node.origin)?,
            Value::Integer(Some(number)) => number.to_string(),
            Value::Boolean(value) => value.to_string(),
            Value::Table(table) if table.get("env").is_some() => {
                return self.secret_element(name, table, &node.origin, inside, answers);
            }
            Value::Table(table) => {
                let listed = !std::ptr::eq(node, &entry.node);
                let place = answers.place(if listed { &node.origin } else { &entry.origin });
                let mut children = self.elements(table, inside, answers);
                hide_values(name, &mut children, place);
                return Some(Element { place, ..Element::with_children(name, children) });
            }
            Value::Broken => return None,
            Value::List(_) | Value::Integer(None) | Value::Float | Value::Time(_) => {
                let message = format!("`{}` cannot be {}", shown(name), node.value.kind());
                let help =
                    "a setting is text, a whole number, true or false, a table or a list of these";
                self.refuse(&node.origin, message, help);
                return None;
            }
        };
        Some(answers.text(name, text, &node.origin))
    }

    /// Text without what no answer file can hold.
    fn setting_text(&mut self, text: &str, origin: &Origin) -> Option<String> {
        let control = |one: char| one.is_control() || matches!(one, '\u{fffe}' | '\u{ffff}');
        if text.contains(control) || !is_free_of_placeholders(text) {
            let help = "settings are single lines; put longer texts into files of their own";
            self.refuse(origin, "a setting cannot hold control characters", help);
            return None;
        }
        Some(text.to_owned())
    }

    fn secret_element(
        &mut self,
        name: &str,
        table: &Table,
        origin: &Origin,
        inside: &Inside<'_>,
        answers: &mut Answers,
    ) -> Option<Element> {
        let secret = match self.secret(table) {
            Some(secret) if table.entries().len() == 1 => secret,
            _ => {
                let message = "this is not the name of an environment variable";
                self.refuse(origin, message, "write { env = \"NAME\" }: letters, digits and `_`");
                return None;
            }
        };
        // What is written beside it depends on it, and what a secret says is not known.
        if name == "PlainText" {
            self.refuse(origin, "PlainText is no secret", "write `true` or `false`");
            return None;
        }
        // `AdministratorPassword = { env = ... }` stands for the whole group.
        if HIDDEN_ELEMENTS.contains(&name) && inside.is_group() {
            return Some(hidden_password(name, &secret, origin, answers));
        }
        let text = secret.placeholder(&SecretForm::Xml);
        Some(answers.text(name, text, origin))
    }

    pub(super) fn refuse(
        &mut self,
        origin: &Origin,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.findings.push(Finding::at(origin, "recipe::setting", message, "", help));
    }
}

const COMPONENT_HELP: &str = "write [unattend.settings.specialize.\"Microsoft-Windows-Shell-Setup\"] and the settings below it";

/// Where in a component an element stands.
struct Inside<'a> {
    component: &'a str,
    path: String,
}

impl<'a> Inside<'a> {
    fn of(component: &'a str) -> Self {
        Self { component, path: String::new() }
    }

    fn below(&self, name: &str) -> Self {
        let path = match self.path.as_str() {
            "" => name.to_owned(),
            above => format!("{above}/{name}"),
        };
        Self { component: self.component, path }
    }

    fn known(&self) -> Option<&'static catalogue::ComponentSettings> {
        catalogue::component(self.component)
    }

    fn kind(&self) -> Option<ValueKind> {
        Some(self.known()?.setting(&self.path)?.kind)
    }

    fn is_group(&self) -> bool {
        self.kind() == Some(ValueKind::Group)
    }

    /// True for a setting that cannot be a list.
    fn is_single(&self) -> bool {
        let kind = self.kind();
        matches!(kind, Some(ValueKind::Boolean | ValueKind::Integer | ValueKind::Word))
    }

    /// True for text that nobody should read.
    fn is_secret(&self, name: &str) -> bool {
        let above = self.path.rsplit('/').nth(1).unwrap_or("");
        SECRETS.contains(&name)
            || HIDDEN_ELEMENTS.contains(&name)
            || name == "Value" && HIDDEN_ELEMENTS.contains(&above)
    }

    /// True when items at this place are ordered by number.
    fn is_ordered(&self) -> bool {
        let order = format!("{}/Order", self.path);
        self.known().is_some_and(|known| known.setting(&order).is_some())
    }
}

/// A password group whose value is the hidden form of a secret.
fn hidden_password(
    name: &str,
    secret: &SecretRef,
    origin: &Origin,
    answers: &mut Answers,
) -> Element {
    let form = SecretForm::HiddenPassword { element: name.to_owned() };
    let value = answers.text("Value", secret.placeholder(&form), origin);
    let plain = answers.text("PlainText", "false", origin);
    let place = answers.place(origin);
    Element { place, ..Element::with_children(name, vec![value, plain]) }
}

/// A secret as `Value` is written in the hidden form, and `PlainText` says so, unless the recipe says that it is plain. Without the word Windows, or
/// a file below the recipe's settings, could take the hidden form for the password.
fn hide_values(name: &str, children: &mut Vec<Element>, place: Place) {
    let plain = children.iter().find(|child| child.is("PlainText"));
    let said = plain.is_some();
    if plain.is_some_and(|plain| plain.value().eq_ignore_ascii_case("true"))
        || !HIDDEN_ELEMENTS.contains(&name)
    {
        return;
    }
    let mut hidden = false;
    for child in children.iter_mut().filter(|child| child.is("Value")) {
        if let Some((secret, _)) = SecretRef::of_placeholder(&child.text) {
            let element = name.to_owned();
            child.text = secret.placeholder(&SecretForm::HiddenPassword { element });
            hidden = true;
        }
    }
    if hidden && !said {
        children.push(Element { place, ..Element::with_text("PlainText", "false") });
    }
}

/// An element as the item `number` of its list.
fn item(
    mut element: Element,
    node: &Node,
    number: usize,
    inside: &Inside<'_>,
    answers: &mut Answers,
) -> Element {
    let given = node.table().and_then(|table| table.get(KEY_VALUE)).and_then(Node::text);
    let has_key = KEYS.iter().any(|key| element.child(key).is_some());
    if given.is_none() && !has_key && inside.is_ordered() {
        let order = answers.text("Order", number.to_string(), &node.origin);
        element.children.insert(0, order);
        return element.added();
    }
    let key = given.map(str::to_owned).or_else(|| (!has_key).then(|| number.to_string()));
    let mut element = element.added();
    if let Some(value) = key {
        let (namespace, name) = (Namespace::Configuration, "keyValue".to_owned());
        element.attributes.push(Attribute { namespace, name, value });
    }
    element
}

/// Adds an element; groups of the same name become one. The depth is bounded by the reader of recipes.
fn join(list: &mut Vec<Element>, element: Element) {
    let is_item = |one: &Element| one.configuration("action").is_some();
    let same = list
        .iter_mut()
        .find(|other| other.is(&element.name) && !is_item(other) && !is_item(&element));
    match same {
        Some(other) if !other.children.is_empty() && !element.children.is_empty() => {
            for child in element.children {
                join(&mut other.children, child);
            }
        }
        _ => list.push(element),
    }
}

fn is_element_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|one| one.is_ascii_alphanumeric() || matches!(one, '_' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::Path};

    use super::*;
    use crate::{recipe, servicing::Operation};

    const SHELL: &str = "[unattend.settings.oobeSystem.\"Microsoft-Windows-Shell-Setup\"]\n";

    /// The settings of a recipe, or the messages of what is wrong with it.
    fn settings(text: &str) -> Result<TypedSettings, Vec<String>> {
        let text =
            format!("[base]\nwim = \"a.wim\"\nindex = 1\n[output]\npath = \"out.wim\"\n{text}");
        let files = BTreeMap::from([("recipe.toml".to_owned(), text.into_bytes())]);
        let recipe = recipe::load_from(&files, Path::new("recipe.toml"), &[]).map_err(|found| {
            found.iter().map(|one| one.message().to_owned()).collect::<Vec<_>>()
        })?;
        let found = recipe.entries.into_iter().find_map(|entry| match entry.operation {
            Operation::Unattend(spec) => spec.settings,
            _ => None,
        });
        Ok(found.expect("it has settings"))
    }

    /// The forms of the secrets in a group and what its `PlainText` says, below `AutoLogon` of `file`.
    fn logon(file: &AnswerFile) -> (SecretForm, Vec<&str>) {
        let shell = &file.pass(PassName::OobeSystem).unwrap().components[0];
        let password = shell.setting(&["AutoLogon", "Password"]).unwrap();
        let value = &password.child("Value").unwrap().text;
        let (_, form) = SecretRef::of_placeholder(value).unwrap();
        (form, password.named("PlainText").map(Element::value).collect())
    }

    #[test]
    fn a_hidden_password_is_always_said_to_be_hidden() {
        let hidden = SecretForm::HiddenPassword { element: "Password".to_owned() };
        for (given, form, plain) in [
            ("{ Value = { env = \"PW\" } }", &hidden, "false"),
            ("{ Value = { env = \"PW\" }, PlainText = false }", &hidden, "false"),
            ("{ Value = { env = \"PW\" }, PlainText = \"False\" }", &hidden, "False"),
            ("{ Value = { env = \"PW\" }, PlainText = true }", &SecretForm::Xml, "true"),
            ("{ Value = { env = \"PW\" }, PlainText = \"True\" }", &SecretForm::Xml, "True"),
            ("{ env = \"PW\" }", &hidden, "false"),
        ] {
            let text = format!("{SHELL}AutoLogon.Password = {given}\n");
            let typed = settings(&text).unwrap_or_else(|found| panic!("{given}: {found:?}"));
            assert_eq!(logon(&typed.alone("amd64")), (form.clone(), vec![plain]), "{given}");
        }
        // Over a file whose password is plain.
        let below = r#"<unattend xmlns="urn:schemas-microsoft-com:unattend"><settings pass="oobeSystem"><component name="Microsoft-Windows-Shell-Setup" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS"><AutoLogon><Password><Value>old</Value><PlainText>true</PlainText></Password></AutoLogon></component></settings></unattend>"#;
        let mut file = AnswerFile::parse(below.as_bytes()).unwrap();
        let typed =
            settings(&format!("{SHELL}AutoLogon.Password.Value = {{ env = \"PW\" }}\n")).unwrap();
        assert_eq!(typed.lay_over(&mut file, "amd64").len(), 2);
        assert_eq!(logon(&file), (hidden, vec!["false"]));
    }

    #[test]
    fn what_no_answer_file_should_hold_is_refused() {
        let disk = |item: &str| {
            format!(
                "[unattend.settings.windowsPE.\"Microsoft-Windows-Setup\"]\nDiskConfiguration.Disk = [{item}]\n"
            )
        };
        for (text, message) in [
            (disk("{ \"wcm:keyValue\" = 1, DiskID = 0 }"), "wcm:keyValue is a text"),
            (
                disk("{ \"wcm:keyValue\" = \"\\uFDD0xml:PATH\\uFDD1\", DiskID = 0 }"),
                "a setting cannot hold control characters",
            ),
            (
                "[unattend.settings.specialize.\"\\uFDD0xml:PATH\\uFDD1\"]\nA = 1\n".to_owned(),
                "a setting cannot hold control characters",
            ),
            ("[unattend.settings.specialize.\"\"]\nA = 1\n".to_owned(), "a component has a name"),
            (
                format!("{SHELL}AutoLogon.Password = {{ Value = 12345 }}\n"),
                "Value stands in the recipe",
            ),
            (
                format!(
                    "{SHELL}AutoLogon.Password = {{ Value = {{ env = \"PW\" }}, PlainText = {{ env = \"P\" }} }}\n"
                ),
                "PlainText is no secret",
            ),
        ] {
            assert_eq!(settings(&text).unwrap_err(), [message], "{text}");
        }
    }

    #[test]
    fn what_may_be_newer_than_the_table_is_taken_and_what_is_misspelt_is_not() {
        let of_image = "[unattend.settings.windowsPE.\"Microsoft-Windows-Setup\".ImageInstall.OSImage.InstallFrom]\nMetaData = [{ Key = \"/IMAGE/EditionID\", Value = \"Professional\" }]\n";
        for text in [
            format!("{SHELL}QuantumFlux = 1\n"),
            "[unattend.settings.specialize.\"Contoso-Gadget\"]\nA = 1\n".to_owned(),
            of_image.to_owned(),
        ] {
            settings(&text).unwrap_or_else(|found| panic!("{text}: {found:?}"));
        }
        for text in [
            format!("{SHELL}RegisteredOwnr = \"x\"\n"),
            "[unattend.settings.specialize.\"Microsoft-Windows-Shell-Stup\"]\nA = 1\n".to_owned(),
            of_image.replace("EditionID", "EDITION"),
        ] {
            assert!(settings(&text).is_err(), "{text}");
        }
    }
}
