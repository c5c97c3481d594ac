//! `plan --as dism`: the commands that DISM would be given, in the plan's order.

use transom::{
    codec::Codec,
    plan::{Options, PlanError, dism},
};

use crate::pipeline_place::Place;

const RECIPE: &str = r#"
[base]
wim = "base.wim"
edition = "ServerCore"
[services]
RemoteRegistry = "disabled"
[packages.kb]
source = "updates/100% kb.msu"
when-not-native = "dism"
[packages.old]
state = "absent"
identity = "Package_for_KB1"
[features]
TelnetClient = { state = "enabled", all = true }
SMB1Protocol = "removed"
[capabilities]
"OpenSSH.Server~~~~0.0.1.0" = { source = "fod" }
[languages.de-DE]
source = "languages/lp.esd"
[drivers.storage]
source = "drivers/storage"
unsigned = "allow"
[unattend]
file = "unattend.xml"
[output]
path = "out/golden.wim"
"#;

fn place() -> Place {
    let place = Place::new(Codec::Xpress);
    place.write("recipe.toml", RECIPE.as_bytes());
    for name in ["updates/100% kb.msu", "languages/lp.esd", "drivers/storage/a.inf"] {
        place.write(name, b"not what its name says");
    }
    place.write("fod/readme.txt", b"nothing");
    place.write("unattend.xml", b"<unattend xmlns=\"urn:schemas-microsoft-com:unattend\"/>");
    place
}

#[test]
fn every_entry_becomes_what_dism_does_or_a_remark() {
    let place = place();
    let options = Options { unchecked: true, ..Options::default() };
    let plan = place.plan_with(&place.store(), &options).unwrap();
    // Sources that say nothing are said, and stand where their section puts them.
    assert!(plan.warnings.iter().any(|warning| warning.to_string().contains("kb.msu")));
    let script = dism::script(&plan);
    assert!(script.ends_with("\r\n") && script.lines().all(|line| !line.contains('\r')));
    let calls: Vec<&str> = script
        .lines()
        .filter(|line| {
            line.starts_with(r"%SystemRoot%\System32\dism.exe") || line.starts_with("for ")
        })
        .map(|line| line.split_once(".exe ").unwrap().1)
        .collect();
    let expected = [
        r#"/Export-Image /SourceImageFile:"base.wim" /SourceIndex:2 /DestinationImageFile:"out\golden.unfinished.wim""#,
        r#"/Mount-Image /ImageFile:"out\golden.unfinished.wim" /Index:1 /MountDir:"%MOUNT%""#,
        r#"/Apply-Image /ImageFile:"languages\lp.esd" /Index:1 /ApplyDir:"%EXPANDED%""#,
        r#"/Image:"%MOUNT%" /Add-Package /PackagePath:"%EXPANDED%""#,
        r#"/Image:"%MOUNT%" /Add-Capability /CapabilityName:"OpenSSH.Server~~~~0.0.1.0" /Source:"fod" /LimitAccess"#,
        r#"/Image:"%MOUNT%" /Enable-Feature /FeatureName:"TelnetClient" /All /LimitAccess"#,
        r#"/Image:"%MOUNT%" /Disable-Feature /FeatureName:"SMB1Protocol" /Remove"#,
        r#"/Image:"%MOUNT%" /Add-Package /PackagePath:"updates\100%% kb.msu""#,
        r#"/Image:"%MOUNT%" /English /Get-Packages >"%LIST%""#,
        r#"/i /c:"Package Identity : Package_for_KB1~" "%LIST%"') do %SystemRoot%\System32\dism.exe /Image:"%MOUNT%" /Remove-Package /PackageName:%%p & call :last || goto failed"#,
        r#"/Image:"%MOUNT%" /Add-Driver /Driver:"drivers\storage" /Recurse /ForceUnsigned"#,
        r#"/Image:"%MOUNT%" /Apply-Unattend:"unattend.xml""#,
        r#"/Unmount-Image /MountDir:"%MOUNT%" /Commit"#,
        r#"/Unmount-Image /MountDir:"%MOUNT%" /Discard"#,
    ];
    assert_eq!(calls, expected);
    // A failure leaves nothing at the output's path, and the folder of the caller.
    let finished = r#"move "out\golden.unfinished.wim" "out\golden.wim" >nul || goto failed"#;
    assert!(script.contains(finished), "{script}");
    assert!(script.find("/Commit").unwrap() < script.find(finished).unwrap());
    assert_eq!(script.matches("pushd").count(), 1);
    assert_eq!(script.matches("popd").count(), 3, "{script}");
    let remark = script.split("rem ").find(|part| part.contains("RemoteRegistry")).unwrap();
    assert!(
        script.split(remark).nth(1).unwrap().starts_with("rem This is nothing that DISM does.")
    );
}

#[test]
fn a_build_reads_the_sources_and_refuses_them_by_name() {
    let place = place();
    let error = place.plan_with(&place.store(), &Options::default()).unwrap_err();
    assert!(matches!(error, PlanError::Inputs(_)), "{error:?}");
    let labels: Vec<String> = error
        .findings()
        .filter_map(|finding| Some(finding.labels().next()?.origin.line().to_string()))
        .collect();
    assert!(labels.contains(&"7".to_owned()), "{labels:?}");
}
