//! Which elements and attributes the model holds; what is neither held nor harmless is found here, so that nothing of a file is passed over in silence.

use super::xml::Element;

/// What the model knows of an element: a table that is walked beside the tree.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    name: &'static str,
    /// Attributes that the model holds.
    attributes: &'static [&'static str],
    children: &'static [Self],
    /// Only the first is held; a second one is surplus.
    once: bool,
    /// Its text is held.
    text: bool,
    /// The element is held as it is, with everything in it.
    whole: bool,
}

impl Known {
    pub(super) const fn new(
        name: &'static str,
        attributes: &'static [&'static str],
        children: &'static [Self],
    ) -> Self {
        Self { name, attributes, children, once: false, text: false, whole: false }
    }

    pub(super) const fn once(self) -> Self {
        Self { once: true, ..self }
    }

    pub(super) const fn text(self) -> Self {
        Self { text: true, ..self }
    }

    /// An element that is held as it is.
    pub(super) const fn whole(name: &'static str) -> Self {
        Self { whole: true, ..Self::new(name, &[], &[]) }
    }

    /// Gives everything below `element` that this table does not have to `surplus`: its path from below the root, and the element, or the element that the
    /// attribute (or text) stands at with `false`.
    pub(super) fn surplus<'a>(
        &self,
        element: &'a Element,
        surplus: &mut impl FnMut(String, &'a Element, bool),
    ) {
        self.walk(element, &mut Vec::new(), surplus);
    }

    // As deep as the table is, whatever the file.
    fn walk<'a>(
        &self,
        element: &'a Element,
        path: &mut Vec<&'a str>,
        surplus: &mut impl FnMut(String, &'a Element, bool),
    ) {
        if self.whole {
            return;
        }
        for (attribute, _) in &element.attributes {
            if !self.attributes.contains(&attribute.as_str())
                && !is_left_out(&element.name, attribute)
            {
                surplus(joined(path, &format!("@{attribute}")), element, false);
            }
        }
        if !self.text && !element.text.is_empty() {
            surplus(joined(path, "#text"), element, false);
        }
        // Of the table's own names, so it stays short whatever the file.
        let mut once: Vec<&str> = Vec::new();
        for child in &element.children {
            let known = self.children.iter().find(|known| known.name == child.name);
            let known = known.filter(|known| !once.contains(&known.name));
            once.extend(known.filter(|known| known.once).map(|known| known.name));
            match known {
                Some(known) => {
                    path.push(&child.name);
                    known.walk(child, path, surplus);
                    path.pop();
                }
                None => surplus(joined(path, &child.name), child, true),
            }
        }
    }
}

fn joined(path: &[&str], last: &str) -> String {
    path.iter().copied().chain([last]).collect::<Vec<_>>().join("/")
}

/// Attributes that the model leaves out, because they say nothing about the image: element, attribute, why.
const LEFT_OUT: &[(&str, &str, &str)] = &[
    ("assembly", "manifestVersion", "always 1.0"),
    ("assembly", "company", "for people"),
    ("assembly", "copyright", "for people"),
    ("assembly", "creationTimeStamp", "when it was built"),
    ("assembly", "lastUpdateTimeStamp", "when it was built"),
    ("assembly", "buildFilter", "chose what was built; the file is the result"),
    ("assemblyIdentity", "buildType", "how it was built; no part of the identity's hash"),
    ("installerAssembly", "buildType", "how it was built; no part of the identity's hash"),
    ("file", "importPath", "where the build took it from"),
    ("file", "sourcePath", "where the build took it from"),
    ("securityDescriptorDefinition", "description", "for people"),
    ("id", "publicKeyToken", "whose category it is; the category's name is enough"),
    ("id", "language", "of the category, not of the component"),
    ("id", "processorArchitecture", "of the category, not of the component"),
    ("id", "buildType", "how it was built"),
    ("package", "applicabilityEvaluation", "how Windows Update finds out whether it applies"),
    ("package", "targetPartition", "of phones; elsewhere it is always the main one"),
    ("package", "binaryPartition", "of phones"),
    (
        "package",
        "contained",
        "whether the files of a package are in its container; they are looked for",
    ),
    ("package", "integrate", "how Windows shows it to people"),
];

fn is_left_out(element: &str, attribute: &str) -> bool {
    LEFT_OUT.iter().any(|(of, name, _)| *of == element && *name == attribute)
}

/// `assemblyIdentity`.
pub(super) const IDENTITY: Known = Known::new("assemblyIdentity", IDENTITY_ATTRIBUTES, &[]);

/// The attributes of [`IDENTITY`].
pub(super) const IDENTITY_ATTRIBUTES: &[&str] = &[
    "name",
    "version",
    "processorArchitecture",
    "language",
    "publicKeyToken",
    "type",
    "typeName",
    "versionScope",
];

#[cfg(test)]
mod tests {
    use super::*;

    const LEAF: Known = Known::new("leaf", &["a"], &[]).once();
    const TEXT: Known = Known::new("text", &[], &[]).text();
    const ROOT: Known = Known::new("root", &["b"], &[LEAF, TEXT, Known::whole("whole")]);

    #[test]
    fn everything_that_is_not_in_the_table_is_found() {
        let text = "<root a='' b=''>x<leaf a='' b=''><foo/>y</leaf><leaf a=''/><whole c=''>z<d/></whole><text>t</text><foo><bar/></foo></root>";
        let root = Element::parse(text.as_bytes()).unwrap();
        let mut found = Vec::new();
        ROOT.surplus(&root, &mut |path, element, whole| {
            found.push(format!("{path} {} {whole}", element.name));
        });
        let expected = [
            "@a root false",
            "#text root false",
            "leaf/@b leaf false",
            "leaf/#text leaf false",
            "leaf/foo foo true",
            "leaf leaf true",
            "foo foo true",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn many_surplus_elements_take_time_by_their_number() {
        let count = 200_000;
        let root = format!("<root>{}</root>", "<leaf/>".repeat(count));
        let (root, mut found) = (Element::parse(root.as_bytes()).unwrap(), 0);
        ROOT.surplus(&root, &mut |_, _, _| found += 1);
        assert_eq!(found, count - 1);
    }
}
