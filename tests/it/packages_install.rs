//! Packages put into an image and taken out again: what is staged, what is in force, what is refused.

use transom::{
    image::{HiveId, Image, RegistryPath},
    servicing::{
        InputId, Operation, WhenNotNative,
        cbs::{PackageAction, PackageSpec, PackageSubject},
    },
};

use crate::{
    image_fixture::{MemoryInputs, path},
    package_bench::{Bench, WINNERS, no_package, package},
    package_fixture::{
        Component, Files, Package, VERSION, component_identity, files, foundation, inputs,
    },
    support,
};

/// A tool: a file in two places, a folder, values of every type.
fn tool(version: &str) -> (Package, Component, Component) {
    let values = r#"
<registryValue name="" valueType="REG_SZ" value="$(runtime.system32)\tool.exe"/>
<registryValue name="Expand" valueType="REG_EXPAND_SZ" value="%SystemRoot%\x"/>
<registryValue name="Number" valueType="REG_DWORD" value="0x0000000a" operationHint="replace"/>
<registryValue name="Large" valueType="REG_QWORD" value="0A88000000000000"/>
<registryValue name="Bytes" valueType="REG_BINARY" value="00ff10"/>
<registryValue name="List" valueType="REG_MULTI_SZ" value="&quot;one&quot;,&quot;two&quot;"/>
<registryValue name="None" valueType="REG_NONE" value=""/>
<registryValue name="Raw" valueType="00020001" value="33000000"/>
<registryValue name="Mine" valueType="REG_SZ" value="default" mutable="true"/>
<securityDescriptor name="WRP_REGKEY_DEFAULT_SDDL"/>"#;
    let component = Component::new("Transom-Tool", version)
        .file("tool.exe", r"$(runtime.system32)\", &format!("the tool {version}"), r#"<link destination="$(runtime.programFiles)\Tool\tool.exe"/>"#)
        .with(r#"<directories><directory destinationPath="$(runtime.programData)\Tool\Data" owner="true" attributes="hidden"><securityDescriptor name="WRP_PARENT_DIR_DEFAULT_SDDL"/></directory></directories>"#)
        .key(r"HKEY_LOCAL_MACHINE\SOFTWARE\Transom\Tool\", values)
        .key(r"HKEY_CLASSES_ROOT\.tool", r#"<registryValue name="" valueType="REG_SZ" value="Tool"/>"#)
        .key(r"HKEY_CURRENT_USER\Software\Transom\Tool", r#"<registryValue name="User" valueType="REG_SZ" value="new"/>"#);
    let deployment =
        Component::deployment("Transom-Tool-Deployment", version, "neutral", &[&component]);
    let package = Package::new("Transom-Tool-Package", version).parent(&foundation()).update(
        "Tool",
        "",
        &deployment,
    );
    (package, component, deployment)
}

fn tool_files(version: &str) -> (Package, Component, Files) {
    let (package, component, deployment) = tool(version);
    let files = files(&[&package], &[&component, &deployment]);
    (package, component, files)
}

#[test]
fn a_package_is_staged_and_in_force() {
    let mut bench = Bench::new();
    let (tool, component, files) = tool_files(VERSION);
    bench.done(&package("tool"), &inputs(&[("tool", files)]));
    let form = component.key_form();
    let stored = format!(r"\Windows\WinSxS\{form}\tool.exe");
    for place in [stored.as_str(), r"\Windows\System32\tool.exe", r"\Program Files\Tool\tool.exe"] {
        assert_eq!(bench.content(place), format!("the tool {VERSION}"));
    }
    let tree = bench.image.tree();
    let node = tree.lookup(&path(&stored)).unwrap();
    assert_eq!(tree.links(node), 3);
    let sddl = transom::format::security::to_sddl(
        &transom::format::security::SecurityDescriptor::parse(tree.security_of(node).unwrap())
            .unwrap(),
    );
    assert_eq!(sddl, "O:SYG:SYD:P(A;;FA;;;SY)(A;;0x1200a9;;;BU)S:(AU;SAFA;0xd0116;;;WD)");
    let folder = tree.lookup(&path(r"\ProgramData\Tool\Data")).unwrap();
    assert_eq!(tree.inode(folder).attributes & 2, 2);
    assert!(bench.has(&format!(r"\Windows\WinSxS\Manifests\{form}.manifest")));
    assert!(bench.has(&format!(r"\Windows\servicing\Packages\{}.mum", tool.id())));
    assert!(bench.has(&format!(r"\Windows\servicing\Packages\{}.cat", tool.id())));
    // Registry.
    let key = r"HKLM\SOFTWARE\Transom\Tool";
    assert_eq!(bench.text(key, "").unwrap(), r"C:\Windows\System32\tool.exe");
    assert_eq!(bench.text(key, "Expand").unwrap(), r"%SystemRoot%\x");
    assert_eq!(bench.number(key, "Number"), Some(10));
    assert_eq!(bench.value(key, "Large").unwrap().as_qword(), Some(0x880a));
    assert_eq!(bench.value(key, "Bytes").unwrap().data, [0, 0xff, 0x10]);
    assert_eq!(bench.value(key, "List").unwrap().as_multi_text().unwrap(), ["one", "two"]);
    let raw = bench.value(key, "Raw").unwrap();
    assert_eq!((raw.kind.0, raw.data), (0x20001, vec![0x33, 0, 0, 0]));
    assert_eq!(bench.text(r"HKCR\.tool", "").unwrap(), "Tool");
    assert_eq!(bench.text(r"HKCU\Software\Transom\Tool", "User").unwrap(), "new");
    let security = bench.image.key_security(&RegistryPath::parse(key).unwrap()).unwrap().unwrap();
    let security = transom::format::security::SecurityDescriptor::parse(&security).unwrap();
    assert_eq!(
        transom::format::security::to_sddl(&security),
        "O:SYG:SYD:P(A;CI;0xf003f;;;SY)(A;CI;0x20019;;;BU)"
    );
    // The store's own keys.
    assert_eq!(bench.state_of(&tool), Some(0x70));
    let (family, base) = (
        component.identity.winners_key_form(),
        format!(r"{WINNERS}\{}", component.identity.winners_key_form()),
    );
    assert!(family.contains("transom-tool"));
    assert_eq!(bench.text(&base, "").unwrap(), "10.0");
    assert_eq!(bench.text(&format!(r"{base}\10.0"), "").unwrap(), VERSION);
    assert_eq!(bench.value(&format!(r"{base}\10.0"), VERSION).unwrap().data, [1]);
    let key = format!(r"HKLM\COMPONENTS\DerivedData\Components\{form}");
    let identity = bench.value(&key, "identity").unwrap().data;
    assert_eq!(String::from_utf8(identity).unwrap(), component.identity.identity_text());
    assert!(bench.value(&key, "f!tool.exe").is_some());
    let index = RegistryPath::parse(r"HKLM\COMPONENTS\DerivedData\VersionedIndex").unwrap();
    assert!(bench.image.registry_subkeys(&index).unwrap().is_empty());
    assert_eq!(bench.damage(), Vec::<String>::new());
    // Again: nothing is done.
    let (_, _, files) = tool_files(VERSION);
    assert_eq!(bench.done(&package("tool"), &inputs(&[("tool", files)])), 0);
}

#[test]
fn what_is_added_and_removed_leaves_the_image_as_it_was() {
    let mut bench = Bench::new();
    let index =
        RegistryPath::parse(r"HKLM\COMPONENTS\DerivedData\VersionedIndex\10.0.26100.1").unwrap();
    bench.image.delete_key(&index).unwrap();
    let before = bench.state();
    let (tool, _, files) = tool_files(VERSION);
    bench.done(&package("tool"), &inputs(&[("tool", files)]));
    assert!(bench.state() != before);
    assert!(bench.done(&no_package(&tool.id()), &MemoryInputs::default()) > 0);
    let after = bench.state();
    assert_eq!(before.0, after.0);
    for (before, after) in before.1.into_iter().zip(after.1) {
        assert!(before == after, "{before:#?}\n{after:#?}");
    }
    assert_eq!(bench.done(&no_package(&tool.id()), &MemoryInputs::default()), 0);
}

#[test]
fn a_newer_version_takes_over_and_the_older_comes_back() {
    let mut bench = Bench::new();
    let (old, _, old_files) = tool_files(VERSION);
    let (new, component, deployment) = tool("10.0.26100.1000");
    let component = Component {
        body: component
            .body
            .replace(
                r"$(runtime.programFiles)\Tool\tool.exe",
                r"$(runtime.programFiles)\Tool\tool2.exe",
            )
            .replace("Number", "Count"),
        ..component
    };
    let new_files = files(&[&new], &[&component, &deployment]);
    bench.done(&package("old"), &inputs(&[("old", old_files.clone())]));
    let between = bench.state();
    bench.done(&package("new"), &inputs(&[("new", new_files)]));
    assert_eq!(bench.content(r"\Windows\System32\tool.exe"), "the tool 10.0.26100.1000");
    assert!(
        bench.has(r"\Program Files\Tool\tool2.exe") && !bench.has(r"\Program Files\Tool\tool.exe")
    );
    let key = r"HKLM\SOFTWARE\Transom\Tool";
    assert_eq!((bench.number(key, "Count"), bench.number(key, "Number")), (Some(10), None));
    assert_eq!((bench.state_of(&old), bench.state_of(&new)), (Some(0x50), Some(0x70)));
    assert_eq!(bench.damage(), Vec::<String>::new());
    // The older one again: nothing is done, with a word.
    let warned = bench.problems(&package("old"), &inputs(&[("old", old_files)]));
    assert!(
        warned[0].warning
            && warned.iter().any(|problem| problem.cause.contains("newer 10.0.26100.1000")),
        "{warned:?}"
    );
    bench.done(&no_package(&new.id()), &MemoryInputs::default());
    let after = bench.state();
    assert_eq!(between.0, after.0);
    assert!(between.1 == after.1);
}

#[test]
fn what_two_components_own_stays_with_the_other() {
    let mut bench = Bench::new();
    let shared = |name: &str, text: &str| {
        let component = Component::new(name, VERSION)
            .file("shared.dll", r"$(runtime.system32)\", text, "")
            .key(
                r"HKEY_LOCAL_MACHINE\SOFTWARE\Transom\Shared",
                &format!(r#"<registryValue name="Text" valueType="REG_SZ" value="{text}"/>"#),
            );
        let deployment =
            Component::deployment(&format!("{name}-Deployment"), VERSION, "neutral", &[&component]);
        let package =
            Package::new(&format!("{name}-Package"), VERSION).update("U", "", &deployment);
        let files = files(&[&package], &[&component, &deployment]);
        (package, files)
    };
    let (_, one) = shared("Transom-One", "one");
    let (two, two_files) = shared("Transom-Two", "two");
    let inputs = inputs(&[("one", one), ("two", two_files)]);
    bench.done(&package("one"), &inputs);
    let before = bench.state();
    bench.done(&package("two"), &inputs);
    assert_eq!(bench.content(r"\Windows\System32\shared.dll"), "two");
    bench.done(&no_package(&two.id()), &inputs);
    assert_eq!(bench.content(r"\Windows\System32\shared.dll"), "one");
    assert_eq!(bench.text(r"HKLM\SOFTWARE\Transom\Shared", "Text").unwrap(), "one");
    assert_eq!(before, bench.state());
}

#[test]
fn parents_come_first_and_are_needed() {
    let mut bench = Bench::new();
    let (tool, _, tool_files) = tool_files(VERSION);
    let addition = Component::new("Transom-Addition", VERSION).file(
        "add.txt",
        r"$(runtime.programFiles)\Tool\",
        "more",
        "",
    );
    let deployment =
        Component::deployment("Transom-Addition-Deployment", VERSION, "neutral", &[&addition]);
    let add = Package::new("Transom-Addition-Package", VERSION).parent(&tool).update(
        "Add",
        "",
        &deployment,
    );
    let inputs =
        inputs(&[("tool", tool_files), ("add", files(&[&add], &[&addition, &deployment]))]);
    let refused = bench.refused(&package("add"), &inputs);
    assert!(refused.contains("0x800f081e") && refused.contains(&tool.id()), "{refused}");
    bench.done(&package("tool"), &inputs);
    bench.done(&package("add"), &inputs);
    assert!(bench.has(r"\Program Files\Tool\add.txt"));
    let refused = bench.refused(&no_package(&tool.id()), &inputs);
    assert!(refused.contains(&format!("{} needs it", add.id())), "{refused}");
    bench.done(&no_package(&add.id()), &inputs);
    bench.done(&no_package("Transom-Tool-Package"), &inputs);
    assert!(!bench.has(r"\Program Files\Tool"));
    let permanent = Package::new("Transom-Permanent-Package", VERSION)
        .attribute("permanence", "permanent")
        .update("U", "", &deployment);
    let inputs =
        crate::package_fixture::inputs(&[("p", files(&[&permanent], &[&addition, &deployment]))]);
    bench.done(&package("p"), &inputs);
    let refused = bench.refused(&no_package(&permanent.id()), &inputs);
    assert!(refused.contains("0x800f0825"), "{refused}");
}

#[test]
fn components_of_32_bits_go_to_their_own_places() {
    let mut bench = Bench::new();
    let component = Component::of(component_identity("Transom-Wow", VERSION, "wow64", "neutral"))
        .file("wow.dll", r"$(runtime.system32)\", "32 bits", "")
        .key(r"HKEY_LOCAL_MACHINE\SOFTWARE\Transom\Wow", r#"<registryValue name="Path" valueType="REG_SZ" value="$(runtime.system32)\wow.dll"/>"#)
        .key(r"HKEY_CLASSES_ROOT\CLSID\{1}", r#"<registryValue name="" valueType="REG_SZ" value="class"/>"#)
        .key(r"HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Transom", r#"<registryValue name="P" valueType="REG_DWORD" value="0x00000001"/>"#);
    let deployment =
        Component::deployment("Transom-Wow-Deployment", VERSION, "neutral", &[&component]);
    let wow = Package::new("Transom-Wow-Package", VERSION).update("U", "", &deployment);
    let inputs = inputs(&[("wow", files(&[&wow], &[&component, &deployment]))]);
    bench.done(&package("wow"), &inputs);
    assert!(bench.has(r"\Windows\SysWOW64\wow.dll") && !bench.has(r"\Windows\System32\wow.dll"));
    assert_eq!(
        bench.text(r"HKLM\SOFTWARE\Wow6432Node\Transom\Wow", "Path").unwrap(),
        r"C:\Windows\SysWOW64\wow.dll"
    );
    assert_eq!(bench.text(r"HKCR\Wow6432Node\CLSID\{1}", "").unwrap(), "class");
    assert_eq!(bench.number(r"HKLM\SOFTWARE\Policies\Transom", "P"), Some(1));
}

#[test]
fn services_and_their_groups() {
    let mut bench = Bench::new();
    let before = bench.state();
    let memberships = r#"<memberships>
<categoryMembership><id name="Microsoft.Windows.Categories.Services" version="10.0.26100.1" publicKeyToken="31bf3856ad364e35" typeName="Service"/>
<categoryInstance subcategory="TransomSvc"><serviceData name="TransomSvc" displayName="@%SystemRoot%\x.dll,-1" errorControl="normal" start="demand" type="win32ShareProcess" dependOnService="rpcss,http" imagePath="%SystemRoot%\system32\svchost.exe -k transomgroup" objectName="LocalSystem" requiredPrivileges="SeTcbPrivilege,SeBackupPrivilege" sidType="unrestricted">
<failureActions resetPeriod="86400"><actions><action delay="10000" type="restartService"/></actions></failureActions></serviceData></categoryInstance></categoryMembership>
<categoryMembership><id name="Microsoft.Windows.Categories" version="1.0.0.0" publicKeyToken="365143bb27e7ac8b" typeName="SvcHost"/>
<categoryInstance subcategory="transomgroup"><serviceGroup position="last" serviceName="TransomSvc"/></categoryInstance></categoryMembership>
<categoryMembership><id name="Microsoft.Windows.Categories" version="1.0.0.0" publicKeyToken="365143bb27e7ac8b" typeName="BootRecovery"/></categoryMembership>
</memberships>"#;
    let component = Component::new("Transom-Service", VERSION)
        .with(memberships)
        .key(r"HKEY_LOCAL_MACHINE\System\CurrentControlset\Services\TransomSvc\Parameters", r#"<registryValue name="ServiceDll" valueType="REG_EXPAND_SZ" value="%SystemRoot%\x.dll"/>"#);
    let deployment =
        Component::deployment("Transom-Service-Deployment", VERSION, "neutral", &[&component]);
    let service = Package::new("Transom-Service-Package", VERSION).update("U", "", &deployment);
    let inputs = inputs(&[("svc", files(&[&service], &[&component, &deployment]))]);
    bench.done(&package("svc"), &inputs);
    // The fixture's current control set is the second.
    let key = r"HKLM\SYSTEM\ControlSet002\Services\TransomSvc";
    assert_eq!((bench.number(key, "Start"), bench.number(key, "Type")), (Some(3), Some(0x20)));
    assert_eq!(
        bench.value(key, "DependOnService").unwrap().as_multi_text().unwrap(),
        ["rpcss", "http"]
    );
    assert_eq!(bench.value(key, "FailureActions").unwrap().data.len(), 28);
    assert_eq!(
        bench.text(&format!(r"{key}\Parameters"), "ServiceDll").unwrap(),
        r"%SystemRoot%\x.dll"
    );
    let groups = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Svchost";
    assert_eq!(
        bench.value(groups, "transomgroup").unwrap().as_multi_text().unwrap(),
        ["TransomSvc"]
    );
    assert_eq!(bench.damage(), Vec::<String>::new());
    bench.done(&no_package(&service.id()), &inputs);
    let mut after = bench.state();
    // The index of the store is a cache that goes with the first change.
    after.1[2].clone_from(&before.1[2]);
    assert_eq!(before.0, after.0);
    assert!(before.1 == after.1, "{:#?}\n{:#?}", before.1, after.1);
}

#[test]
fn resources_come_for_languages_that_are_installed() {
    let mut bench = Bench::new();
    let tool = Component::new("Transom-Many", VERSION).resources();
    let in_language = |tag: &str| {
        Component::of(component_identity("Transom-Many.Resources", VERSION, "amd64", tag)).file(
            "many.mui",
            &format!(r"$(runtime.system32)\{tag}\"),
            tag,
            "",
        )
    };
    let (english, french) = (in_language("en-US"), in_language("fr-FR"));
    let deployment = Component::deployment("Transom-Many-Deployment", VERSION, "neutral", &[&tool]);
    let many = Package::new("Transom-Many-Package", VERSION).update("U", "", &deployment);
    let inputs = inputs(&[("many", files(&[&many], &[&tool, &english, &french, &deployment]))]);
    bench.done(&package("many"), &inputs);
    assert!(
        bench.has(r"\Windows\System32\en-US\many.mui") && !bench.has(r"\Windows\System32\fr-FR")
    );
    assert!(!bench.has(&format!(r"\Windows\WinSxS\{}", french.key_form())));
}

#[test]
fn what_was_changed_is_refused_with_both_hashes() {
    let mut bench = Bench::new();
    let (_, component, files) = tool_files(VERSION);
    let form = component.key_form();
    let with = |path: &str, content: Option<&[u8]>| {
        let mut files = files.clone();
        files.retain(|(name, _)| name != path);
        files.extend(content.map(|content| (path.to_owned(), content.to_vec())));
        inputs(&[("tool", files)])
    };
    let payload = format!("{form}/tool.exe");
    let changed = bench.refused(&package("tool"), &with(&payload, Some(b"another")));
    assert!(changed.contains("tool.exe") && changed.contains("its manifest says"), "{changed}");
    let missing = bench.refused(&package("tool"), &with(&payload, None));
    assert!(
        missing.contains("the file tool.exe of") && missing.contains("0x800f081f"),
        "{missing}"
    );
    let name = format!("{form}.manifest");
    let text = component.text().replace("10.0.26100.1\"", "10.0.26100.2\"");
    let other = bench.refused(&package("tool"), &with(&name, Some(text.as_bytes())));
    assert!(other.contains("its identity has the key form"), "{other}");
    let text = component.text().replace("default", "changed");
    let unsigned = Operation::Package(PackageSpec {
        subject: PackageSubject::Package("tool".to_owned()),
        action: PackageAction::Present {
            source: Some(InputId("tool".to_owned())),
            allow_unsigned: false,
            when_not_native: WhenNotNative::Refuse,
        },
    });
    let problems = bench.problems(&package("tool"), &with(&name, Some(text.as_bytes())));
    assert!(
        problems.iter().any(|problem| problem.cause.contains("nobody vouches for it")),
        "{problems:?}"
    );
    let refused = bench.refused(&unsigned, &with("nothing", None));
    assert!(refused.contains("nobody vouches for it (unsigned)"), "{refused}");
    let missing = bench.refused(&package("tool"), &with("update.mum", None));
    assert!(missing.contains("there is no package in it"), "{missing}");
}

#[test]
fn what_is_not_understood_is_refused_by_name_and_nothing_is_touched() {
    let mut bench = Bench::new();
    let odd = Component::new("Transom-Odd", VERSION)
        .with("<taskScheduler/>\n<configuration><x/></configuration>")
        .key(
            r"HKEY_LOCAL_MACHINE\SOFTWARE\Odd",
            r#"<registryValue name="A" valueType="REG_STRANGE" value="1"/>"#,
        );
    let deployment = Component::deployment("Transom-Odd-Deployment", VERSION, "neutral", &[&odd]);
    let odd_package = Package::new("Transom-Odd-Package", VERSION).update("U", "", &deployment);
    let inputs = inputs(&[("odd", files(&[&odd_package], &[&odd, &deployment]))]);
    let before = bench.state();
    let refused = bench.refused(&package("odd"), &inputs);
    for word in [
        &odd_package.id(),
        &odd.key_form(),
        "<taskScheduler>",
        "<configuration>",
        "REG_STRANGE",
        "first-boot",
    ] {
        assert!(refused.contains(word), "{word}: {refused}");
    }
    assert!(bench.run(&package("odd"), &inputs).is_err());
    assert_eq!(before, bench.state());
}

#[test]
fn an_update_of_components_that_the_image_does_not_have_does_not_apply() {
    let mut bench = Bench::new();
    let fix = Component::new("Transom-Tool", "10.0.26100.2000").file(
        "tool.exe",
        r"$(runtime.system32)\",
        "fixed",
        "",
    );
    let deployment = Component::deployment("Fix-Deployment", "10.0.26100.2000", "neutral", &[&fix]);
    let condition = format!(
        "<applicable disposition=\"staged\"><updateComponent elevate=\"revision\">{}</updateComponent></applicable>",
        crate::package_fixture::identity_xml(&fix.identity)
    );
    // Updates that wait for one another come to nothing, and to an end.
    let around = |one: &str, other: &str| {
        format!(
            "<update name=\"{one}\"><applicable disposition=\"detect\"><detectUpdate><update name=\"{other}\"/></detectUpdate></applicable></update>"
        )
    };
    let update = Package::new("Transom-Fix-Package", "1.0.0.1").release("Update").update(
        "Fix_LDR",
        &condition,
        &deployment,
    );
    let circle = Package::new("Transom-Circle-Package", "1.0.0.1")
        .with(&around("A", "B"))
        .with(&around("B", "A"));
    let (_, _, tool) = tool_files(VERSION);
    let inputs = inputs(&[
        ("fix", files(&[&update], &[&fix, &deployment])),
        ("tool", tool),
        ("circle", files(&[&circle], &[])),
    ]);
    let refused = bench.refused(&package("fix"), &inputs);
    assert!(
        refused.contains("nothing in it applies") && refused.contains("0x800f081e"),
        "{refused}"
    );
    bench.done(&package("circle"), &inputs);
    bench.done(&package("tool"), &inputs);
    bench.done(&package("fix"), &inputs);
    assert_eq!(bench.content(r"\Windows\System32\tool.exe"), "fixed");
    assert!(!bench.has(r"\Program Files\Tool"));
    bench.done(&no_package(&update.id()), &inputs);
    assert_eq!(bench.content(r"\Windows\System32\tool.exe"), format!("the tool {VERSION}"));
    assert!(bench.has(r"\Program Files\Tool\tool.exe"));
}

#[test]
fn a_manifest_that_differs_from_the_image_s_is_refused() {
    let mut bench = Bench::new();
    let (_, component, files) = tool_files(VERSION);
    let place = format!(r"\Windows\WinSxS\Manifests\{}.manifest", component.key_form());
    let other = component.text().replace("default", "changed").into_bytes();
    bench.image.put_bytes(&path(&place), other, &transom::image::NewNode::default()).unwrap();
    let refused = bench.refused(&package("tool"), &inputs(&[("tool", files)]));
    assert!(refused.contains("another manifest") && refused.contains("0x80073712"), "{refused}");
}

#[test]
fn an_image_with_unfinished_work_is_left_alone() {
    let mut bench = Bench::new();
    let pending = path(r"\Windows\WinSxS\pending.xml");
    bench.image.put_bytes(&pending, b"<x/>".to_vec(), &transom::image::NewNode::default()).unwrap();
    let (_, _, tool) = tool_files(VERSION);
    let refused = bench.refused(&package("tool"), &inputs(&[("tool", tool)]));
    assert!(refused.contains("pending.xml"), "{refused}");
}

#[test]
fn what_cannot_be_done_waits_for_the_first_boot() {
    let mut bench = Bench::new();
    let odd = Component::new("Transom-Odd", VERSION).with("<taskScheduler/>");
    let deployment = Component::deployment("Transom-Odd-Deployment", VERSION, "neutral", &[&odd]);
    let odd_package = Package::new("Transom-Odd-Package", VERSION).update("U", "", &deployment);
    let inputs = inputs(&[("odd", files(&[&odd_package], &[&odd, &deployment]))]);
    let later = Operation::Package(PackageSpec {
        subject: PackageSubject::Package("odd".to_owned()),
        action: PackageAction::Present {
            source: Some(InputId("odd".to_owned())),
            allow_unsigned: true,
            when_not_native: WhenNotNative::FirstBoot,
        },
    });
    let problems = bench.problems(&later, &inputs);
    assert!(problems.iter().all(|problem| problem.warning), "{problems:?}");
    assert!(
        problems.iter().any(|problem| problem.cause.contains("left to the first boot")),
        "{problems:?}"
    );
    bench.done(&later, &inputs);
    assert!(bench.has(r"\Windows\Setup\Scripts\transom-packages\package-odd\update.mum"));
    assert_eq!(bench.state_of(&odd_package), None);
}

#[test]
fn other_programs_read_the_values_back() {
    let Some(regedit) = support::oracle("hivexregedit") else { return };
    let mut bench = Bench::new();
    let (_, component, files) = tool_files(VERSION);
    bench.done(&package("tool"), &inputs(&[("tool", files)]));
    let finished = bench.image.finish().unwrap();
    let place = bench.folder.path().join("out.wim");
    let wim = crate::image_fixture::save_with(finished, None, &bench.store, &place);
    let image = Image::open(wim, 1, &transom::base::limits::Limits::default()).unwrap();
    let export = |hive: HiveId, key: &str| {
        let file = bench.folder.path().join(hive.to_string());
        fs_err::write(&file, image.read(&hive.path(&"Windows".into())).unwrap()).unwrap();
        let text = regedit.run([
            "--export".as_ref(),
            "--prefix".as_ref(),
            "X".as_ref(),
            file.as_os_str(),
            key.as_ref(),
        ]);
        String::from_utf8_lossy(&text).into_owned()
    };
    let text = export(HiveId::Software, r"\Transom\Tool");
    for line in [
        "\"Number\"=dword:0000000a",
        "\"Bytes\"=hex(3):00,ff,10",
        "\"Raw\"=hex(20001):33,00,00,00",
        "\"Large\"=hex(b):0a,88,00,00,00,00,00,00",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let text =
        export(HiveId::Components, &format!(r"\DerivedData\Components\{}", component.key_form()));
    assert!(text.contains("\"CF\"=dword:00000040") && text.contains("\"S256H\"=hex(3):"), "{text}");
}
