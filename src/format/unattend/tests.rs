//! Tests of the reader and the serialiser.

use proptest::prelude::*;

use super::{
    read::{CONFIGURATION, NAMESPACES},
    write::is_blank,
    *,
};

const COMPONENT: &str = r#"<component name="Microsoft-Windows-Shell-Setup" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS"><ComputerName>a &amp; b &#65;</ComputerName></component>"#;

fn file(inside: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<unattend xmlns=\"urn:schemas-microsoft-com:unattend\" xmlns:wcm=\"{CONFIGURATION}\">\n{inside}\n</unattend>\n"
    )
}

fn pass(inside: &str) -> String {
    file(&format!("<settings pass=\"specialize\">{inside}</settings>"))
}

fn parse(text: &str) -> Result<AnswerFile, AnswerFileError> {
    AnswerFile::parse(text.as_bytes())
}

/// What is read, written and read again is the same, and so is what is written the second time.
fn round_trip(file: AnswerFile) -> String {
    let text = file.to_text();
    let again = parse(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(again.to_text(), text);
    assert_eq!(again.without_places(), file.without_places(), "{text}");
    text
}

#[test]
fn a_sound_file_is_read_in_every_encoding() {
    let text = file(&format!(
        "<servicing><package action=\"install\"/></servicing><settings pass=\"OOBESystem\">{COMPONENT}</settings>\
         <settings pass=\"offlineServicing\"/><cpi:offlineImage xmlns:cpi=\"urn:schemas-microsoft-com:cpi\" cpi:source=\"x\"/>"
    ));
    let read = parse(&text).unwrap();
    assert_eq!(read.passes[0].name, PassName::OobeSystem);
    assert_eq!(read.passes[0].written.as_deref(), Some("OOBESystem"));
    let component = &read.passes[0].components[0];
    assert_eq!(
        (component.name.as_str(), component.architecture.as_str()),
        ("Microsoft-Windows-Shell-Setup", "amd64")
    );
    assert_eq!(component.setting(&["ComputerName"]).unwrap().value(), "a & b A");
    assert_eq!(component.place, Place { line: 3, column: 79 });
    assert_eq!(read.servicing.as_ref().unwrap().children[0].attribute("action"), Some("install"));
    assert_eq!(read.others[0].name, "offlineImage");
    let declared = text.replace("utf-8", "utf-16");
    let little: Vec<u8> = declared.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = declared.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let marked = |mark: &[u8], rest: &[u8]| [mark, rest].concat();
    for bytes in [
        marked(&[0xff, 0xfe], &little),
        marked(&[0xfe, 0xff], &big),
        little,
        big,
        marked(&[0xef, 0xbb, 0xbf], text.as_bytes()),
        text.replace('\n', "\r\n").into_bytes(),
        text.replace("urn:schemas-microsoft-com:unattend", NAMESPACES[1]).into_bytes(),
    ] {
        assert_eq!(AnswerFile::parse(&bytes), Ok(read.clone()));
    }
    let written = round_trip(read);
    assert!(written.starts_with("<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<unattend xmlns="));
    assert!(
        written.contains("\r\n      <ComputerName>a &amp; b A</ComputerName>\r\n    </component>")
    );
    assert!(written.contains("<cpi:offlineImage cpi:source=\"x\"/>"), "{written}");
    assert_eq!(written.matches('\n').count(), written.matches("\r\n").count());
}

#[test]
fn the_name_of_a_namespace_is_kept_once_and_has_a_limit() {
    let elements = |length: usize| {
        let name = "n".repeat(length);
        file(&format!("<n:a xmlns:n=\"{name}\"><n:b/><n:b n:c=\"\"/></n:a>"))
    };
    let read = parse(&elements(256)).unwrap();
    let [first, second] = &read.others[0].children[..] else { panic!("{read:?}") };
    let (Namespace::Other(one), Namespace::Other(other)) =
        (&first.namespace, &second.attributes[0].namespace)
    else {
        panic!("{read:?}")
    };
    assert!(std::sync::Arc::ptr_eq(one, other));
    let error = parse(&elements(257)).unwrap_err();
    assert_eq!(error.cause, "the name of a namespace has more than 256 bytes");
    assert_eq!(error.place.unwrap().line, 3);
}

#[test]
fn what_xml_readers_of_windows_refuse_is_refused() {
    let settings = format!("<settings pass=\"specialize\">{COMPONENT}</settings>");
    let sound = file(&settings);
    let with_action = COMPONENT.replace("<ComputerName>", "<ComputerName wcx:action=\"add\">");
    for (text, expected) in [
        (format!(" {sound}"), "not at the very start"),
        (sound.replace("utf-8", "utf-16"), "declares the encoding `utf-16`"),
        (sound.replace("utf-8", "windows-1252"), "declares the encoding"),
        (pass(&with_action), "wcx:action"),
        (file(&format!("stray {settings}")), "text where only elements can be"),
        (file(&settings.replace("</settings>", "stray</settings>")), "text where only"),
        (file(&settings.replace("</component>", "&#65;</component>")), "text where only"),
    ] {
        let found = parse(&text).unwrap_err();
        assert!(found.cause.contains(expected), "{expected}: {found:?}");
        assert!(found.place.is_some(), "{found:?}");
    }
    let ampersand = parse(&file(&settings.replace("&amp;", "&"))).unwrap_err();
    assert!(ampersand.help.contains("&amp;"), "{ampersand:?}");
    assert!(AnswerFile::parse(b"\xff\xfe\x00\xd8<").unwrap_err().cause.contains("UTF-16LE"));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let twice = format!("{COMPONENT}{COMPONENT}");
    let deep = format!("{}{}", "<a>".repeat(300), "</a>".repeat(300));
    let wide: String = (0..200).map(|number| format!(" a{number}=\"\"")).collect();
    let cases = [
        (pass("<component"), "not well-formed XML"),
        (pass("</component>"), "not well-formed XML"),
        (file("<settings pass=\"specialize\">"), "not well-formed XML"),
        (pass("<component name=\"a\" name=\"b\"/>"), "not well-formed XML"),
        (pass(&COMPONENT.replace("&amp;", "&")), "not well-formed XML"),
        (pass(&COMPONENT.replace("&amp;", "&nbsp;")), "`&nbsp;` is not defined"),
        (pass(&COMPONENT.replace("&amp;", "&#1;")), "`&#1;` is not defined"),
        (pass(&COMPONENT.replace("<ComputerName", "<1a/><ComputerName")), "`1a` is not a name"),
        (
            pass(&COMPONENT.replace("<ComputerName", &format!("{deep}<ComputerName"))),
            "nested deeper",
        ),
        (
            pass(&COMPONENT.replace("<ComputerName", &format!("<a {wide}/><ComputerName"))),
            "attributes",
        ),
        (file("<settings/>"), "`<settings>` without `pass`"),
        (file("<settings pass=\"later\"/>"), "`later` is not a pass"),
        (file("<settings pass=\"generalize\"/><settings pass=\"generalize\"/>"), "given twice"),
        (file("<servicing/><servicing/>"), "`<servicing>` is given twice"),
        (file("<setting pass=\"generalize\"/>"), "`<setting>` is not known here"),
        (pass("<Component/>"), "`<Component>` is not known here"),
        (pass("<component/>"), "`<component>` without `name`"),
        (pass(&COMPONENT.replace("amd64", "x64")), "`x64` is not an architecture"),
        (pass(&COMPONENT.replace("31bf", "31b")), "public key token"),
        (pass(&twice), "is given twice in the pass `specialize`"),
        ("<unattend/>".to_owned(), "the root element has no namespace"),
        (file("").replace("unattend", "answer"), "the root element is `answer`"),
        (file("") + "<more/>", "stands behind the root element"),
        (String::new(), "it is empty"),
        (format!("<!DOCTYPE x>{}", file("").split_once('\n').unwrap().1), "document type"),
        ("just text".to_owned(), "text outside"),
    ];
    for (text, cause) in cases {
        let finding = parse(&text).expect_err(&text);
        assert!(finding.cause.contains(cause), "{finding:?} for {text}");
        assert!(finding.place.is_some());
    }
    let finding = parse(&file("  <settings pass=\"later\"/>")).unwrap_err();
    assert_eq!(finding.place, Some(Place { line: 3, column: 3 }));
    assert_eq!(finding.to_string(), "3:3: `later` is not a pass");
}

#[test]
fn everything_odd_but_readable_survives_writing() {
    let inside = COMPONENT.replace(
        "<ComputerName>a &amp; b &#65;</ComputerName>",
        "<a wcm:action=\"add\" b='&quot;&#10;&#9;x'>t <!-- c --> u<b/><![CDATA[<&>]]></a><Value>&#32;</Value><Value> </Value>\
         <Value>&#13; x\n y </Value><none xmlns=\"\" at=\"1\"><inner/></none><x:y xmlns:x=\"urn:a&amp;b\" x:z=\"1\" xml:lang=\"en\"/><é/>",
    );
    let read = parse(&pass(&inside)).unwrap();
    let settings = &read.passes[0].components[0].settings;
    assert_eq!(settings[0].text, "t  u<&>");
    assert_eq!(settings[0].attribute("b"), Some("\"\n\tx"));
    assert_eq!(settings[0].configuration("action"), Some("add"));
    assert_eq!((settings[1].text.as_str(), settings[2].text.as_str()), (" ", ""));
    assert_eq!(settings[3].text, "\r x\n y ");
    assert_eq!(settings[4].children[0].namespace, Namespace::None);
    assert_eq!(settings[5].namespace, Namespace::Other("urn:a&b".into()));
    round_trip(read);
}

#[test]
fn many_elements_in_one_line_are_read_in_no_time() {
    let many = "<a/>".repeat(100_000);
    let text = pass(&COMPONENT.replace("<ComputerName", &format!("{many}<ComputerName")));
    let read = parse(&text).unwrap();
    assert_eq!(read.passes[0].components[0].settings.len(), 100_001);
    let more = pass(&COMPONENT.replace("<ComputerName", &format!("{}<b", many.repeat(3))));
    assert!(parse(&more).unwrap_err().cause.contains("elements"));
}

fn any_element() -> impl Strategy<Value = Element> {
    let namespace = prop::sample::select(vec![
        Namespace::Unattend,
        Namespace::Unattend,
        Namespace::None,
        Namespace::Configuration,
        Namespace::Other("urn:x".into()),
        Namespace::Other("urn:schemas-microsoft-com:cpi".into()),
    ]);
    let attribute = (namespace.clone(), "[a-c]{1,2}", "[ -~\n\t\ré]{0,6}");
    let leaf = (
        namespace,
        "[A-C_][a-c0-9.-]{0,3}",
        "[ -~\n\t\ré]{0,8}",
        prop::collection::vec(attribute, 0..3),
    );
    let leaf = leaf.prop_map(|(namespace, name, text, attributes)| {
        let mut element = Element { namespace, text, ..Element::new(name) };
        for (namespace, name, value) in attributes {
            let namespace = Some(namespace).filter(|one| *one != Namespace::Unattend);
            let namespace = namespace.unwrap_or(Namespace::None);
            let same = |one: &Attribute| one.namespace == namespace && one.name == name;
            if !element.attributes.iter().any(same) {
                element.attributes.push(Attribute { namespace, name, value });
            }
        }
        element
    });
    leaf.prop_recursive(4, 24, 4, |inner| {
        (inner.clone(), prop::collection::vec(inner, 1..4)).prop_map(|(mut element, children)| {
            element.text = element.text.trim_matches(is_blank).to_owned();
            element.children = children;
            element
        })
    })
}

proptest! {
    #[test]
    fn every_model_survives_writing_and_reading(settings in prop::collection::vec(any_element(), 0..4), others in prop::collection::vec(any_element(), 0..2)) {
        let others = others.into_iter().filter(|one| one.namespace != Namespace::Unattend).collect();
        let mut file = AnswerFile { others, ..AnswerFile::default() };
        file.pass_mut(PassName::Specialize).component_mut("A", "amd64").settings = settings;
        round_trip(file);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[<>/&;a-c:x\"'= \\n!?é-]{0,80}") {
        for text in [text.clone(), file(&text), pass(&COMPONENT.replace("a &amp; b", &text))] {
            if let Ok(read) = parse(&text) {
                round_trip(read);
            }
        }
    }
}
