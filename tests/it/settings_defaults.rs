//! Default associations, OEM information, owner and computer name: as hivexsh reads them back, and where they are refused.

use transom::{
    format::hive::Value,
    image::RegistryPath,
    servicing::{
        InputId, Operation,
        defaults::{AssociationsAction, DefaultsSpec, OemInformation, inventory},
    },
};

use crate::{image_fixture::MemoryInputs, settings_bench::SettingsBench};

const FILE: &str = r"\Windows\System32\OEMDefaultAssociations.xml";
const SOFTWARE: &str = r"\Windows\System32\config\SOFTWARE";
const SYSTEM: &str = r"\Windows\System32\config\SYSTEM";

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn bitmap(width: i32) -> Vec<u8> {
    let mut bytes = b"BM".to_vec();
    bytes.resize(14, 0);
    for number in [40, width, 120] {
        bytes.extend(i32::to_le_bytes(number));
    }
    bytes
}

fn associations(entries: &str) -> String {
    format!("<?xml version=\"1.0\"?>\n<DefaultAssociations>\n{entries}</DefaultAssociations>\n")
}

fn entry(identifier: &str, prog_id: &str) -> String {
    format!(
        "<Association Identifier=\"{identifier}\" ProgId=\"{prog_id}\" ApplicationName=\"x\"/>\n"
    )
}

fn operation(action: AssociationsAction) -> Operation {
    Operation::Defaults(DefaultsSpec { associations: Some(action), ..DefaultsSpec::default() })
}

#[test]
fn hivexsh_reads_oem_information_and_owner_back() {
    let mut bench = SettingsBench::new();
    let oem = OemInformation {
        manufacturer: text("Contoso"),
        model: text("Gr\u{fc}n 7"),
        support_url: text("https://contoso.example/support"),
        support_phone: text("+49 30 1234"),
        support_hours: text("9-17"),
        logo: Some(InputId("logo.bmp".to_owned())),
    };
    let spec = DefaultsSpec {
        oem: Some(oem),
        registered_owner: text("Build farm"),
        registered_organization: text("Contoso Ltd."),
        ..DefaultsSpec::default()
    };
    let operation = Operation::Defaults(spec);
    let inputs = MemoryInputs::file("logo.bmp", bitmap(120));
    assert!(bench.problems(&operation, &inputs).is_empty());
    bench.run_twice(&operation, &inputs);
    let odd = bench.problems(&operation, &MemoryInputs::file("logo.bmp", bitmap(60)));
    assert!(odd[0].warning && odd[0].cause.contains("60 by 120"), "{odd:?}");
    let error = bench.run(&operation, &MemoryInputs::file("logo.bmp", "PNG")).unwrap_err();
    assert!(error.to_string().contains("logo.bmp: the logo is no bitmap"), "{error}");
    assert!(bench.exists(r"\Windows\System32\oemlogo.bmp"));
    let state = inventory(&mut bench.image).unwrap();
    assert_eq!((state.oem.len(), state.registered_owner.as_deref()), (6, Some("Build farm")));
    // An empty text takes a value away, and what is not said stays.
    let less = OemInformation { model: text(""), ..OemInformation::default() };
    let less = DefaultsSpec { oem: Some(less), ..DefaultsSpec::default() };
    assert_eq!(bench.run_twice(&Operation::Defaults(less), &inputs), 1);
    let commands = [
        r"cd \Microsoft\Windows\CurrentVersion\OEMInformation",
        "lsval Manufacturer",
        "lsval SupportURL",
        "lsval SupportPhone",
        "lsval SupportHours",
        "lsval Logo",
        r"cd \Microsoft\Windows NT\CurrentVersion",
        "lsval RegisteredOwner",
        "lsval RegisteredOrganization",
    ];
    let Some(lines) = bench.finish().hivexsh(SOFTWARE, &commands) else { return };
    let expected = [
        "Contoso",
        "https://contoso.example/support",
        "+49 30 1234",
        "9-17",
        r"C:\Windows\System32\oemlogo.bmp",
        "Build farm",
        "Contoso Ltd.",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_computer_name_goes_where_windows_keeps_it_and_only_there() {
    let mut bench = SettingsBench::new();
    let spec = DefaultsSpec { computer_name: text("Farm-01"), ..DefaultsSpec::default() };
    let operation = Operation::Defaults(spec);
    let none = MemoryInputs::default();
    let told = bench.refusal(&operation, &none);
    assert!(
        told.contains("does not say that it is past") && told.contains("ComputerName"),
        "{told}"
    );
    let key =
        RegistryPath::parse(r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State").unwrap();
    let state = |bench: &mut SettingsBench, state: &str| {
        bench.image.set_value(&key, &Value::sz("ImageState", state)).unwrap();
    };
    state(&mut bench, "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE");
    assert!(bench.refusal(&operation, &none).contains("the image is generalized"));
    state(&mut bench, "IMAGE_STATE_COMPLETE");
    bench.run_twice(&operation, &none);
    let commands = [
        r"cd \ControlSet002\Control\ComputerName\ComputerName",
        "lsval ComputerName",
        r"cd \ControlSet002\Services\Tcpip\Parameters",
        "lsval Hostname",
        "lsval NV\\ Hostname",
    ];
    let Some(lines) = bench.finish().hivexsh(SYSTEM, &commands[..4]) else { return };
    assert_eq!(lines, ["FARM-01", "Farm-01"], "in the control set that is current");
}

#[test]
fn associations_are_merged_replaced_and_removed() {
    let mut bench = SettingsBench::new();
    let input = || InputId("a.xml".to_owned());
    let both = associations(&(entry(".pdf", "AppXpdf") + &entry("https", "AppXweb")));
    let merge = operation(AssociationsAction::Merge(input()));
    bench.run_twice(&merge, &MemoryInputs::file("a.xml", both));
    let one = associations(&(entry(".PDF", "Reader.Document") + &entry(".txt", "AppXtxt")));
    let inputs = MemoryInputs::file("a.xml", one);
    let odd = bench.problems(&merge, &inputs);
    assert!(odd.len() == 1 && odd[0].cause.contains("no program Reader.Document"), "{odd:?}");
    bench.run_twice(&merge, &inputs);
    let merged = bench.text(FILE).unwrap();
    assert!(
        merged.contains(
            r#"<Association Identifier=".PDF" ProgId="Reader.Document" ApplicationName="x" />"#
        ),
        "{merged}"
    );
    assert_eq!(merged.matches("<Association ").count(), 3, "{merged}");
    assert_eq!(inventory(&mut bench.image).unwrap().associations, Some(3));
    bench.run_twice(&operation(AssociationsAction::Replace(input())), &inputs);
    assert_eq!(bench.text(FILE).unwrap().matches("<Association ").count(), 2);
    assert_eq!(bench.run_twice(&operation(AssociationsAction::Absent), &inputs), 1);
    bench.put(FILE, "no xml");
    let told = bench.refusal(&merge, &inputs);
    assert!(
        told.contains("own associations cannot be read") && told.contains("replace = true"),
        "{told}"
    );
    let wrong = associations("  <Association Identifier=\".a\"/>\n");
    let error = bench.run(&merge, &MemoryInputs::file("a.xml", wrong)).unwrap_err();
    assert!(error.to_string().contains("a.xml:3:3: <Association> without `ProgId`"), "{error}");
}

#[test]
fn windows_pe_takes_none_of_it() {
    let mut bench = SettingsBench::new();
    let key =
        RegistryPath::parse(r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\WinPE").unwrap();
    bench.image.create_key(&key).unwrap();
    let told = bench.refusal(&operation(AssociationsAction::Absent), &MemoryInputs::default());
    assert!(told.starts_with("[defaults]: Windows PE has no users"), "{told}");
}

#[test]
fn files_of_the_component_store_stay_as_they_are() {
    let logo =
        OemInformation { logo: Some(InputId("logo.bmp".to_owned())), ..OemInformation::default() };
    let own = associations(&entry(".a", "A"));
    let merge = AssociationsAction::Merge(InputId("new.xml".to_owned()));
    for (file, content, operation, inputs) in [
        (
            r"\Windows\System32\oemlogo.bmp",
            "old",
            Operation::Defaults(DefaultsSpec { oem: Some(logo), ..DefaultsSpec::default() }),
            MemoryInputs::file("logo.bmp", bitmap(120)),
        ),
        (
            FILE,
            own.as_str(),
            operation(merge),
            MemoryInputs::file("new.xml", associations(&entry(".b", "B"))),
        ),
    ] {
        let mut bench = SettingsBench::new();
        bench.put(file, content);
        bench.link_to_store(file);
        bench.run_twice(&operation, &inputs);
        bench.assert_store_kept(file, content);
    }
}
