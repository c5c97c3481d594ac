//! Where a setting lies, as the image's own manifest of its component says it.
//!
//! ```xml
//! <configuration><configurationSchema><xsd:schema>
//!   <xsd:simpleType name="SignInModeType"><xsd:restriction base="xsd:unsignedInt"><xsd:enumeration value="0"/> ... </xsd:restriction></xsd:simpleType>
//!   <xsd:element name="SignInMode" type="SignInModeType" wcm:dataOnly="true" wcm:handler="regkey('HKLM\Software\...\ImmersiveShell')"
//!                wcm:legacyType="REG_DWORD" wcm:passes="offlineServicing specialize oobeSystem"/>
//! ```
//!
//! A setting is the value `legacyName`, else `name`, of the handler's key; one inside a group (`complexType`) lies in a key of the group's name below that.
//! The type is `legacyType`; where that is missing, a boolean or a number is taken for a REG_DWORD and all else for a REG_SZ (inferred). Settings with
//! `dataOnly="false"` are orders to a program of Windows; whether the value alone does what they say is not known, so they are not taken from here.
//!
//! From the manifests among the shared data, of build 22621.

use crate::{
    format::cbs::{Identity, Version, xml::Element},
    image::{Image, RegistryPath},
    servicing::{cbs::store, registry::ValueAction},
};

use super::settings::{self, Refusal};

const REG_SZ: u32 = 1;
const REG_EXPAND_SZ: u32 = 2;
const REG_DWORD: u32 = 4;

/// A value in the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) key: RegistryPath,
    pub(super) name: String,
    pub(super) action: ValueAction,
}

/// What the image's manifest of a component says of the setting at `path` with this text; `None` when it says nothing that can be done here.
pub(super) fn find(
    image: &Image,
    (component, architecture, token): (&str, &str, &str),
    path: &str,
    text: &str,
) -> Result<Option<Value>, Refusal> {
    match manifest(image, component, architecture, token) {
        Some(root) => value(&root, path, text),
        None => Ok(None),
    }
}

/// The newest manifest of the component that can be read.
fn manifest(image: &Image, name: &str, architecture: &str, token: &str) -> Option<Element> {
    let identity = Identity {
        name: name.to_owned(),
        architecture: architecture.to_owned(),
        public_key_token: token.to_owned(),
        language: "neutral".to_owned(),
        ..Identity::default()
    };
    // Names are shortened in key forms: what a manifest is, it says itself.
    let form = identity.key_form();
    let prefix = form.split_once("_0.0.0.0_").map(|(prefix, _)| format!("{prefix}_"))?;
    let mut newest: Option<(Version, Element)> = None;
    for form in store::manifest_key_forms(image) {
        if !form.to_ascii_lowercase().starts_with(&prefix) {
            continue;
        }
        let Ok(Some(bytes)) = store::manifest(image, &form) else { continue };
        let Ok(root) = Element::parse(&bytes) else { continue };
        let Some(Ok(found)) = root.child("assemblyIdentity").map(Identity::of_element) else {
            continue;
        };
        let is_it = found.name.eq_ignore_ascii_case(name) && found.is_neutral();
        if is_it && newest.as_ref().is_none_or(|(version, _)| *version < found.version) {
            newest = Some((found.version, root));
        }
    }
    newest.map(|(_, root)| root)
}

fn value(root: &Element, path: &str, text: &str) -> Result<Option<Value>, Refusal> {
    let schema = root
        .child("configuration")
        .and_then(|configuration| configuration.child("configurationSchema"))
        .and_then(|schemas| schemas.child("schema"));
    let Some(schema) = schema else { return Ok(None) };
    let (top, below) = match path.split_once('/') {
        Some((top, below)) => (top, Some(below)),
        None => (path, None),
    };
    let named = |element: &&Element, name: &str| element.attribute("name") == Some(name);
    let Some(element) = schema.named("element").find(|element| named(element, top)) else {
        return Ok(None);
    };
    let passes = element.attribute("passes").unwrap_or_default();
    let is_asked =
        passes.split_whitespace().any(|pass| pass.eq_ignore_ascii_case("offlineServicing"));
    let is_data =
        element.attribute("dataOnly").is_none_or(|text| text.eq_ignore_ascii_case("true"));
    let Some(handler) = element.attribute("handler").and_then(key_of) else { return Ok(None) };
    if !is_asked || !is_data {
        return Ok(None);
    }
    let own_name = |element: &Element| {
        let name = element.attribute("legacyName").or_else(|| element.attribute("name"));
        name.unwrap_or_default().to_owned()
    };
    let (key, setting) = match below {
        None => (handler.to_owned(), element),
        Some(below) => {
            let group = element
                .attribute("type")
                .and_then(|of| schema.named("complexType").find(|known| named(known, of)));
            let found = group
                .and_then(|group| group.child("sequence"))
                .and_then(|items| items.named("element").find(|item| named(item, below)));
            let Some(found) =
                found.filter(|item| item.attribute("maxOccurs").is_none_or(|most| most == "1"))
            else {
                return Ok(None);
            };
            (format!("{handler}\\{}", own_name(element)), found)
        }
    };
    let Ok(key) = RegistryPath::parse(&key) else { return Ok(None) };
    let Some(kind) = Kind::of(schema, setting) else { return Ok(None) };
    Ok(Some(Value { key, name: own_name(setting), action: kind.action(text)? }))
}

/// The key of `regkey('HKLM\...')`.
fn key_of(handler: &str) -> Option<&str> {
    handler.trim().strip_prefix("regkey('")?.strip_suffix("')")
}

/// What a setting holds.
struct Kind {
    is_boolean: bool,
    registry: u32,
    allowed: Vec<String>,
    longest: Option<usize>,
}

impl Kind {
    /// `None` for a type that is not known.
    fn of(schema: &Element, setting: &Element) -> Option<Self> {
        let own = setting.attribute("type")?;
        let restriction = schema
            .named("simpleType")
            .find(|known| known.attribute("name") == Some(own))
            .and_then(|known| known.child("restriction"));
        let base = restriction.map_or(Some(own), |restriction| restriction.attribute("base"))?;
        let is_boolean = base == "xsd:boolean";
        let numbers = ["xsd:unsignedInt", "xsd:int", "xsd:integer", "xsd:positiveInteger"];
        let registry = match (setting.attribute("legacyType"), base) {
            (Some("REG_DWORD"), _) => REG_DWORD,
            (Some("REG_SZ"), _) => REG_SZ,
            (Some("REG_EXPAND_SZ"), _) => REG_EXPAND_SZ,
            (Some(_), _) => return None,
            (None, "xsd:string") => REG_SZ,
            (None, _) if is_boolean || numbers.contains(&base) => REG_DWORD,
            _ => return None,
        };
        let facet = |name: &'static str| {
            let facets =
                restriction.into_iter().flat_map(move |restriction| restriction.named(name));
            facets.filter_map(|facet| facet.attribute("value")).map(str::to_owned)
        };
        let longest = facet("maxLength").next().and_then(|most| most.parse().ok());
        Some(Self { is_boolean, registry, allowed: facet("enumeration").collect(), longest })
    }

    fn action(&self, text: &str) -> Result<ValueAction, Refusal> {
        let refuse = |help: String| Refusal::wrong(text, help);
        if !self.allowed.is_empty() && !self.allowed.iter().any(|allowed| allowed == text) {
            return Err(refuse(format!("write one of {}", self.allowed.join(", "))));
        }
        if self.longest.is_some_and(|most| text.encode_utf16().count() > most) {
            return Err(refuse("shorten it".to_owned()));
        }
        let number = match self.is_boolean {
            true => Some(settings::boolean(text).map(u32::from)),
            false if self.registry == REG_DWORD => Some(text.parse().ok()),
            false => None,
        };
        let data = match (number, self.registry) {
            (None, _) => return settings::text_action(self.registry, text),
            (Some(None), _) if self.is_boolean => {
                return Err(refuse("write true or false".to_owned()));
            }
            (Some(None), _) => return Err(refuse("write a whole number".to_owned())),
            (Some(Some(number)), REG_DWORD) => number.to_le_bytes().to_vec(),
            // A boolean that is kept as text: as it was written.
            (Some(Some(_)), _) => return settings::text_action(self.registry, text),
        };
        Ok(ValueAction::Set { kind: REG_DWORD, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"<assembly xmlns="urn:schemas-microsoft-com:asm.v3" xmlns:xsd="x" xmlns:wcm="w">
<configuration><configurationSchema><xsd:schema>
<xsd:simpleType name="Mode"><xsd:restriction base="xsd:unsignedInt"><xsd:enumeration value="0"/><xsd:enumeration value="2"/></xsd:restriction></xsd:simpleType>
<xsd:simpleType name="Short"><xsd:restriction base="xsd:string"><xsd:maxLength value="4"/></xsd:restriction></xsd:simpleType>
<xsd:complexType name="Group"><xsd:sequence><xsd:element maxOccurs="1" name="Inner" type="Short" wcm:legacyType="REG_EXPAND_SZ"/><xsd:element maxOccurs="unbounded" name="Many" type="Short"/></xsd:sequence></xsd:complexType>
<xsd:element name="Mode" type="Mode" wcm:dataOnly="true" wcm:handler="regkey('HKEY_LOCAL_MACHINE\Software\A')" wcm:passes="offlineServicing specialize"/>
<xsd:element name="Flag" type="xsd:boolean" wcm:dataOnly="true" wcm:handler="regkey('HKLM\System\CurrentControlSet\B')" wcm:legacyName="The Flag" wcm:passes="offlineServicing"/>
<xsd:element name="Group" type="Group" wcm:dataOnly="true" wcm:handler="regkey('HKLM\Software\C')" wcm:passes="offlineServicing"/>
<xsd:element name="Act" type="xsd:boolean" wcm:dataOnly="false" wcm:handler="regkey('HKLM\Software\D')" wcm:passes="offlineServicing"/>
<xsd:element name="Later" type="xsd:boolean" wcm:dataOnly="true" wcm:handler="regkey('HKLM\Software\D')" wcm:passes="specialize"/>
<xsd:element name="Other" type="xsd:boolean" wcm:dataOnly="true" wcm:handler="code()" wcm:passes="offlineServicing"/>
</xsd:schema></configurationSchema></configuration></assembly>"#;

    #[test]
    fn a_schema_says_key_name_and_type() {
        let root = Element::parse(MANIFEST.as_bytes()).unwrap();
        let found = |path: &str, text: &str| {
            value(&root, path, text)
                .map(|value| value.map(|value| (value.key.to_string(), value.name, value.action)))
        };
        let number =
            |number: u32| ValueAction::Set { kind: REG_DWORD, data: number.to_le_bytes().to_vec() };
        let expect =
            |key: &str, name: &str, action| Ok(Some((key.to_owned(), name.to_owned(), action)));
        assert_eq!(found("Mode", "2"), expect(r"HKEY_LOCAL_MACHINE\Software\A", "Mode", number(2)));
        assert!(found("Mode", "1").unwrap_err().help.contains("one of 0, 2"));
        assert_eq!(
            found("Flag", "true"),
            expect(r"HKLM\System\CurrentControlSet\B", "The Flag", number(1))
        );
        assert!(found("Flag", "x").unwrap_err().help.contains("true or false"));
        let text = ValueAction::Set { kind: REG_EXPAND_SZ, data: b"a\0b\0\0\0".to_vec() };
        assert_eq!(found("Group/Inner", "ab"), expect(r"HKLM\Software\C\Group", "Inner", text));
        assert!(found("Group/Inner", "abcde").unwrap_err().help.contains("shorten"));
        for path in ["Group/Many", "Group", "Act", "Later", "Other", "None", "Mode/x"] {
            assert_eq!(found(path, "true"), Ok(None), "{path}");
        }
    }
}
