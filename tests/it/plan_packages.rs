//! Planning of packages, languages, capabilities and features: what they say of one another decides the order, and what cannot be is refused with both places.

use std::collections::BTreeMap;

use transom::{
    format::{catalog::Trust, cbs::Identity},
    plan::{
        graph::{self, Reason},
        order::Phase,
        packages::Packages,
    },
    recipe::{self, Finding, Recipe},
    servicing::{
        Prepared,
        cbs::{
            PreparedPackages,
            prepared::{PreparedFolder, PreparedPackage},
            relations::{Inventory, KnownFeature},
        },
    },
};

use crate::support;

const TOKEN: &str = "31bf3856ad364e35";

/// `name~token~amd64~language~version`.
fn id(name: &str, language: &str, version: &str) -> String {
    format!("{name}~{TOKEN}~amd64~{language}~{version}")
}

fn neutral(name: &str) -> String {
    id(name, "", "1.0.0.0")
}

/// A package manifest: its id, its release type, and what stands in `package`.
fn mum(id: &str, release: &str, inner: &str) -> String {
    let identity = Identity::of_package_id(id).unwrap();
    format!(
        r#"<?xml version="1.0" encoding="utf-8"?>
<assembly xmlns="urn:schemas-microsoft-com:asm.v3" manifestVersion="1.0">
  <assemblyIdentity name="{}" version="{}" language="{}" processorArchitecture="{}" publicKeyToken="{}"/>
  <package identifier="x" releaseType="{release}">{inner}</package>
</assembly>"#,
        identity.name,
        identity.version,
        identity.language,
        identity.architecture,
        identity.public_key_token
    )
}

fn parent(id: &str) -> String {
    let identity = Identity::of_package_id(id).unwrap();
    format!(
        r#"<parent disposition="detect"><assemblyIdentity name="{}" version="{}" language="{}" processorArchitecture="{}" publicKeyToken="{}"/></parent>"#,
        identity.name,
        identity.version,
        identity.language,
        identity.architecture,
        identity.public_key_token
    )
}

fn feature(name: &str, parent: Option<&str>) -> String {
    let applicable = parent.map_or_else(String::new, |parent| {
        format!(r#"<applicable disposition="staged"><detectUpdate><update name="{parent}"/></detectUpdate></applicable>"#)
    });
    format!(
        r#"<update name="{name}"><selectable disposition="staged"><detectNone default="false"/></selectable>{applicable}</update>"#
    )
}

fn capability(name: &str, language: &str, more: &str) -> String {
    format!(
        r#"<declareCapability><capability><capabilityIdentity name="{name}" version="1.0" language="{language}"/></capability>{more}</declareCapability>"#
    )
}

fn prepared(mums: &[String]) -> Prepared {
    let package = |text: &String| {
        let mum = transom::format::cbs::Mum::parse(text.as_bytes()).unwrap();
        PreparedPackage {
            id: mum.identity.package_id(),
            file: "update.mum".to_owned(),
            mum: text.clone(),
            time: None,
            catalog: None,
            trust: Trust::Unsigned,
            reason: String::new(),
        }
    };
    let folder = |text: &String| PreparedFolder {
        shown: "x".to_owned(),
        packages: vec![package(text)],
        manifests: Vec::new(),
        payload: Vec::new(),
        not_native: Vec::new(),
    };
    Prepared::Packages(PreparedPackages {
        folders: mums.iter().map(folder).collect(),
        originals: Vec::new(),
        skipped: Vec::new(),
    })
}

/// A recipe with what its sources hold, by the entries' labels.
struct Case {
    recipe: Recipe,
    packages: Packages,
}

impl Case {
    fn new(text: &str, sources: &[(&str, &[String])], inventory: Inventory) -> Self {
        let folder = support::temporary_folder();
        let path = folder.path().join("recipe.toml");
        let text = format!(
            "{text}\n[base]\nwim = \"base.wim\"\nindex = 1\n[output]\npath = \"out.wim\"\n"
        );
        fs_err::write(&path, text).unwrap();
        let recipe = recipe::load(&path, &[]).unwrap_or_else(|findings| {
            let all: Vec<String> = findings.iter().map(ToString::to_string).collect();
            panic!("{all:#?}")
        });
        let sources: BTreeMap<&str, &[String]> = sources.iter().copied().collect();
        let relations = recipe
            .entries
            .iter()
            .map(|entry| {
                let mums = sources.get(entry.label.as_str());
                let prepared = mums.map_or(Prepared::Nothing, |mums| prepared(mums));
                entry.operation.relations(&prepared)
            })
            .collect();
        let packages = Packages { relations, inventory, ..Packages::default() };
        Self { recipe, packages }
    }

    /// The labels in the order of execution.
    fn order(&self) -> Vec<&str> {
        let vertices = self.packages.vertices(&self.recipe.entries);
        let ordered = graph::order(&vertices).unwrap();
        ordered.order.iter().map(|place| self.recipe.entries[*place].label.as_str()).collect()
    }

    fn phase(&self, label: &str) -> Phase {
        let place = self.recipe.entries.iter().position(|entry| entry.label == label).unwrap();
        self.packages.vertices(&self.recipe.entries)[place].phase
    }

    /// What an entry needs that another brings.
    fn needs(&self, label: &str) -> Vec<String> {
        let place = self.recipe.entries.iter().position(|entry| entry.label == label).unwrap();
        let vertices = self.packages.vertices(&self.recipe.entries);
        let ordered = graph::order(&vertices).unwrap();
        let needs = ordered.reasons[place].iter().filter_map(|reason| match reason {
            Reason::Requires { after, what } => {
                Some(format!("{}: {what}", self.recipe.entries[*after].label))
            }
            _ => None,
        });
        needs.collect()
    }

    fn refused(&self) -> Vec<String> {
        self.packages.contradictions(&self.recipe.entries).iter().map(shown).collect()
    }
}

/// Code, sentence, and the lines that it shows.
fn shown(finding: &Finding) -> String {
    let lines: Vec<String> =
        finding.labels().map(|label| label.origin.line().to_string()).collect();
    format!("{} {finding} [{}]", finding.code(), lines.join(", "))
}

#[test]
fn packages_given_in_the_wrong_order_are_sorted_by_what_they_need() {
    let base = mum(&neutral("Base"), "Update", "");
    let middle = mum(&neutral("Middle"), "Update", &parent(&neutral("Base")));
    let top = mum(&neutral("Top"), "Update", &parent(&neutral("Middle")));
    let text = "packages.top.source = 't'\npackages.other.source = 'o'\npackages.middle.source = 'm'\npackages.base.source = 'b'";
    let other = [mum(&neutral("Other"), "Update", "")];
    let sources =
        [("top", &[top][..]), ("middle", &[middle]), ("base", &[base]), ("other", &other)];
    let case = Case::new(text, &sources, Inventory::default());
    // Where nothing is said the recipe's order stays.
    assert_eq!(case.order(), ["other", "base", "middle", "top"]);
    let needs = format!("middle: {}, the parent of Top", neutral("Middle"));
    assert_eq!(case.needs("top"), [needs]);
    assert!(case.refused().is_empty());
    // A parent that the image has is waited for by nobody.
    let installed = vec![Identity::of_package_id(&id("Middle", "", "2.0.0.0")).unwrap()];
    let case = Case::new(text, &sources, Inventory { installed, ..Inventory::default() });
    assert_eq!(case.order(), ["top", "other", "base", "middle"]);
}

#[test]
fn packages_that_wait_for_each_other_are_a_circle_with_their_reasons() {
    let one = mum(&neutral("One"), "Update", &parent(&neutral("Two")));
    let two = mum(&neutral("Two"), "Update", &parent(&neutral("One")));
    let text = "packages.one.source = 'a'\npackages.two.source = 'b'";
    let case = Case::new(text, &[("one", &[one]), ("two", &[two])], Inventory::default());
    let cycle = graph::order(&case.packages.vertices(&case.recipe.entries)).unwrap_err();
    let mut told: Vec<(&str, &str)> = cycle
        .steps
        .iter()
        .map(|(place, why)| (case.recipe.entries[*place].label.as_str(), why.as_str()))
        .collect();
    told.sort_unstable();
    let (one, two) = (neutral("One"), neutral("Two"));
    let why =
        [format!("needs {two}, the parent of One"), format!("needs {one}, the parent of Two")];
    assert_eq!(told, [("one", why[0].as_str()), ("two", why[1].as_str())]);
}

#[test]
fn everything_stands_in_servicing_order() {
    let language = id("Microsoft-Windows-Client-LanguagePack-Package", "de-DE", "1.0.0.0");
    let dependency = r#"<dependency><capabilityIdentity name="Language.Basic" version="1.0" language="de-DE"/></dependency>"#;
    let recognition = capability("Language.OCR", "de-DE", dependency);
    let sources: [(&str, &[String]); 9] = [
        ("cumulative", &[mum(&neutral("Package_for_RollupFix"), "Security Update", "")]),
        ("dotnet", &[mum(&neutral("Package_for_DotNetRollup_481"), "Update", "")]),
        ("kb", &[mum(&neutral("Package_for_KB1"), "Update", "")]),
        ("stack", &[mum(&neutral("Package_for_ServicingStack_1"), "Update", "")]),
        ("shelf", &[mum(&neutral("Feature-Package"), "OnDemand Pack", &feature("Lamp", None))]),
        ("de-DE", &[mum(&language, "Language Pack", "")]),
        (
            "Language.OCR~~~de-DE~1.0",
            &[mum(&id("OCR", "de-DE", "1.0.0.0"), "OnDemand Pack", &recognition)],
        ),
        (
            "Language.Basic~~~de-DE~1.0",
            &[mum(
                &id("Basic", "de-DE", "1.0.0.0"),
                "OnDemand Pack",
                &capability("Language.Basic", "de-DE", ""),
            )],
        ),
        (
            "NetFx3",
            &[mum(
                &neutral("microsoft-windows-netfx3-ondemand-package"),
                "OnDemand Pack",
                &feature("NetFx3", None),
            )],
        ),
    ];
    let text = r#"
[features]
NetFx3 = { state = "enabled", source = "n" }
Lamp = "enabled"
[packages]
dotnet.source = "d"
cumulative.source = "c"
kb.source = "k"
stack.source = "s"
shelf.source = "f"
[capabilities]
"Language.OCR~~~de-DE~1.0" = { source = "o" }
"Language.Basic~~~de-DE~1.0" = { source = "b" }
[languages]
de-DE.source = "l"
"#;
    let case = Case::new(text, &sources, Inventory::default());
    let expected = [
        "stack",
        "de-DE",
        "Language.Basic~~~de-DE~1.0",
        "Language.OCR~~~de-DE~1.0",
        "shelf",
        "Lamp",
        "kb",
        "cumulative",
        "NetFx3",
        "dotnet",
    ];
    assert_eq!(case.order(), expected);
    let needs = case.needs("Language.OCR~~~de-DE~1.0");
    assert_eq!(
        needs,
        [
            "Language.Basic~~~de-DE~1.0: the capability Language.Basic~~~de-DE~0.0.1.0",
            "de-DE: the language de-DE"
        ]
    );
    assert_eq!(case.needs("Lamp"), ["shelf: the package that has the feature Lamp"]);
    assert!(case.refused().is_empty(), "{:?}", case.refused());
}

#[test]
fn what_an_earlier_phase_needs_moves_into_it() {
    // A capability whose parent comes as an update.
    let needs = capability("Tool", "", "") + &parent(&neutral("Package_for_KB1"));
    let sources: [(&str, &[String]); 2] = [
        ("kb", &[mum(&neutral("Package_for_KB1"), "Update", "")]),
        ("Tool~~~~1.0", &[mum(&neutral("Tool"), "OnDemand Pack", &needs)]),
    ];
    let text = "packages.kb.source = 'k'\n[capabilities]\n\"Tool~~~~1.0\" = { source = 't' }";
    let case = Case::new(text, &sources, Inventory::default());
    assert_eq!(case.order(), ["kb", "Tool~~~~1.0"]);
    assert_eq!(case.phase("kb"), Phase::Capabilities);
    // The cumulative update stays where it is: that is a circle.
    let needs = capability("Tool", "", "") + &parent(&neutral("Package_for_RollupFix"));
    let sources: [(&str, &[String]); 2] = [
        ("kb", &[mum(&neutral("Package_for_RollupFix"), "Update", "")]),
        ("Tool~~~~1.0", &[mum(&neutral("Tool"), "OnDemand Pack", &needs)]),
    ];
    let case = Case::new(text, &sources, Inventory::default());
    assert!(graph::order(&case.packages.vertices(&case.recipe.entries)).is_err());
}

#[test]
fn features_come_after_their_parents_and_refuse_one_that_is_off() {
    let known = |parents: &[&str]| KnownFeature {
        name: String::new(),
        package: Identity::of_package_id(&neutral("Web")).unwrap(),
        parents: parents.iter().map(ToString::to_string).collect(),
    };
    let inventory = || Inventory {
        features: BTreeMap::from([
            ("child".to_owned(), known(&["Parent"])),
            ("parent".to_owned(), known(&[])),
        ]),
        ..Inventory::default()
    };
    let case = Case::new("[features]\nChild = 'enabled'\nParent = 'enabled'", &[], inventory());
    assert_eq!(case.order(), ["Parent", "Child"]);
    assert_eq!(case.needs("Child"), ["Parent: the feature Parent, its parent"]);
    let case = Case::new("[features]\nChild = 'enabled'\nParent = 'disabled'", &[], inventory());
    assert_eq!(
        case.refused(),
        ["plan::contradiction the feature Child is enabled and its parent Parent is not [2, 3]"]
    );
    // The package of an enabled feature goes.
    let text = "[features]\nParent = 'enabled'\n[packages.x]\nstate = 'absent'\nidentity = 'Web'";
    assert_eq!(
        Case::new(text, &[], inventory()).refused(),
        ["plan::contradiction the feature Parent is enabled and its package goes [2, 3]"]
    );
}

#[test]
fn what_needs_something_goes_before_it_whatever_the_recipe_s_order() {
    let known = |parents: &[&str]| KnownFeature {
        name: String::new(),
        package: Identity::of_package_id(&neutral("Web")).unwrap(),
        parents: parents.iter().map(ToString::to_string).collect(),
    };
    let identity = |name: &str| Identity::of_package_id(&neutral(name)).unwrap();
    let inventory = || Inventory {
        features: BTreeMap::from([
            ("child".to_owned(), known(&["Parent"])),
            ("parent".to_owned(), known(&[])),
        ]),
        installed: vec![identity("Base"), identity("Top")],
        parents: vec![(identity("Top"), vec![identity("Base")])],
        ..Inventory::default()
    };
    for text in ["Parent = 'disabled'\nChild = 'removed'", "Child = 'removed'\nParent = 'disabled'"]
    {
        let case = Case::new(&format!("[features]\n{text}"), &[], inventory());
        assert_eq!(case.order(), ["Child", "Parent"]);
        assert_eq!(case.needs("Parent"), ["Child: the feature Child, which needs it, to be off"]);
    }
    let of = |name: &str, what: &str| {
        format!("[packages.{name}]\nstate = 'absent'\nidentity = '{what}'\n")
    };
    for (one, other) in [("Base", "Top"), ("Top", "Base")] {
        let text = of(&one.to_lowercase(), one) + &of(&other.to_lowercase(), &neutral(other));
        assert_eq!(Case::new(&text, &[], inventory()).order(), ["top", "base"]);
    }
}

#[test]
fn one_package_from_two_sources_is_refused_and_two_versions_are_said() {
    let kb = || [mum(&neutral("Package_for_KB1"), "Update", "")];
    let newer = [mum(&id("Package_for_KB1", "", "1.0.1.0"), "Update", "")];
    let text = "packages.new.source = 'n'\npackages.old.source = 'o'";
    let case = Case::new(text, &[("old", &kb()), ("new", &kb())], Inventory::default());
    let expected = format!(
        "plan::duplicate the package {} comes from two sources [2, 1]",
        neutral("Package_for_KB1")
    );
    assert_eq!(case.refused(), [expected]);
    let case = Case::new(text, &[("old", &kb()), ("new", &newer)], Inventory::default());
    assert!(case.refused().is_empty());
    assert_eq!(case.order(), ["old", "new"]);
    let warnings: Vec<String> =
        case.packages.warnings(&case.recipe.entries).iter().map(shown).collect();
    assert_eq!(
        warnings,
        [
            "plan::two-versions two versions of the package Package_for_KB1 are planned: 1.0.0.0 and 1.0.1.0 [1, 2]"
        ]
    );
}

#[test]
fn what_is_needed_cannot_go() {
    let needs = [mum(&neutral("Top"), "Update", &parent(&neutral("Base")))];
    let installed = || Inventory {
        installed: vec![Identity::of_package_id(&neutral("Base")).unwrap()],
        ..Inventory::default()
    };
    let text = "packages.top.source = 't'\n[packages.base]\nstate = 'absent'\nidentity = 'Base'";
    let case = Case::new(text, &[("top", &needs)], installed());
    assert_eq!(
        case.refused(),
        ["plan::contradiction the package Base goes, which Top needs [1, 2]"]
    );
    // It comes and goes.
    let own = [mum(&neutral("Base"), "Update", "")];
    let case = Case::new(text, &[("top", &own)], installed());
    let expected = format!(
        "plan::contradiction the package {} shall be both there and absent [1, 2]",
        neutral("Base")
    );
    assert_eq!(case.refused(), [expected]);
    // A satellite without its language.
    let satellite = [mum(
        &id("OCR", "de-DE", "1.0.0.0"),
        "OnDemand Pack",
        &capability("Language.OCR", "de-DE", ""),
    )];
    let text = "languages.de-DE = 'absent'\n[capabilities]\n\"Language.OCR~~~de-DE~1.0\" = { source = 'o' }";
    let case = Case::new(text, &[("Language.OCR~~~de-DE~1.0", &satellite)], Inventory::default());
    assert_eq!(
        case.refused(),
        [
            "plan::contradiction the language de-DE goes, which capability Language.OCR~~~de-DE~1.0 from o needs [3, 1]"
        ]
    );
}

#[test]
fn a_language_on_top_of_an_update_is_refused_unless_the_update_is_planned_again() {
    let pack = [mum(&id("Client-LanguagePack-Package", "de-DE", "1.0.0.0"), "Language Pack", "")];
    let updated = || Inventory {
        installed: vec![
            Identity::of_package_id(&id("Package_for_RollupFix", "", "26100.1742.1.10")).unwrap(),
        ],
        ..Inventory::default()
    };
    let text = "languages.de-DE.source = 'l'\n";
    let sources: [(&str, &[String]); 1] = [("de-DE", &pack)];
    let refused = Case::new(text, &sources, updated()).refused();
    assert_eq!(refused.len(), 1);
    assert!(
        refused[0].starts_with("plan::language-after-update the language de-DE would come after the cumulative update Package_for_RollupFix~")
            && refused[0].ends_with("[1]"),
        "{refused:?}"
    );
    assert!(Case::new(text, &sources, Inventory::default()).refused().is_empty());
    // An older one would not be applied.
    let older = [mum(&neutral("Package_for_RollupFix"), "Update", "")];
    let both: [(&str, &[String]); 2] = [("de-DE", &pack), ("cu", &older)];
    let case = Case::new(&format!("packages.cu.source = 'c'\n{text}"), &both, updated());
    assert_eq!(case.refused().len(), 1);
    let update = [mum(&id("Package_for_RollupFix", "", "26100.1742.1.10"), "Update", "")];
    let both: [(&str, &[String]); 2] = [("de-DE", &pack), ("cu", &update)];
    let case = Case::new(&format!("packages.cu.source = 'c'\n{text}"), &both, updated());
    assert!(case.refused().is_empty());
    assert_eq!(case.order(), ["de-DE", "cu"]);
    // A language that is there already is no news.
    let languages = vec!["de-de".to_owned()];
    assert!(Case::new(text, &sources, Inventory { languages, ..updated() }).refused().is_empty());
}

/// An element that says which servicing stack a package needs.
fn needs_stack(version: &str) -> String {
    format!(
        r#"<installerAssembly name="Microsoft-Windows-ServicingStack" version="{version}" language="neutral" processorArchitecture="amd64" versionScope="nonSxS" publicKeyToken="{TOKEN}"/>"#
    )
}

#[test]
fn servicing_stacks_do_not_wait_for_each_other() {
    let stack = |version: &str| {
        [mum(&id("Package_for_ServicingStack", "", version), "Update", &needs_stack("1.0.0.1"))]
    };
    let (old, new) = (stack("1.0.0.2"), stack("1.0.0.3"));
    let update = [mum(&neutral("Package_for_KB1"), "Update", &needs_stack("1.0.0.2"))];
    let text = "packages.kb.source = 'k'\npackages.new.source = 'n'\npackages.old.source = 'o'";
    let sources: [(&str, &[String]); 3] = [("kb", &update), ("new", &new), ("old", &old)];
    let case = Case::new(text, &sources, Inventory::default());
    assert_eq!(case.order(), ["old", "new", "kb"]);
}

#[test]
fn a_servicing_stack_may_come_by_itself_and_within_an_update() {
    let stack = |version: &str| {
        mum(&id("Package_for_ServicingStack", "", version), "Update", &needs_stack("1.0.0.1"))
    };
    let update =
        || mum(&neutral("Package_for_RollupFix"), "Security Update", &needs_stack("1.0.0.2"));
    let text = "packages.cu.source = 'c'\npackages.stack.source = 's'";
    // The same, an older one and a newer one than that in the update.
    for (own, within) in [("1.0.0.2", "1.0.0.2"), ("1.0.0.2", "1.0.0.3"), ("1.0.0.3", "1.0.0.2")] {
        let (own, both) = ([stack(own)], [update(), stack(within)]);
        let sources: [(&str, &[String]); 2] = [("cu", &both), ("stack", &own)];
        let case = Case::new(text, &sources, Inventory::default());
        assert_eq!(case.refused(), Vec::<String>::new());
        assert_eq!(case.order(), ["stack", "cu"]);
    }
}

#[test]
fn a_capability_is_known_by_each_of_its_names() {
    let dependency = r#"<dependency><capabilityIdentity name="Base.Cap" version="0.0.1.0" language="neutral"/></dependency>"#;
    let top = [mum(&neutral("Top"), "OnDemand Pack", &capability("Top.Cap", "", dependency))];
    let base = [mum(&neutral("Bottom"), "OnDemand Pack", &capability("Base.Cap", "neutral", ""))];
    for name in ["Base.Cap~~~~0.0.1.0", "BASE.CAP~~~~1.0"] {
        let text = format!(
            "[capabilities]\n\"Top.Cap~~~~1.0\" = {{ source = 't' }}\n\"{name}\" = {{ source = 'b' }}"
        );
        let sources: [(&str, &[String]); 2] = [("Top.Cap~~~~1.0", &top), (name, &base)];
        let case = Case::new(&text, &sources, Inventory::default());
        assert_eq!(case.order(), [name, "Top.Cap~~~~1.0"]);
    }
}
