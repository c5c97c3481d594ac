//! Entries of the first boot: what lies in the image for each, and that a build on its own output changes nothing.

use transom::servicing::{
    InputId, Operation,
    first_boot::{FirstBootEntry, FirstBootSpec, Reboot, Run},
};

use crate::{image_fixture::MemoryInputs, settings_bench::SettingsBench, settings_winpe::pe};

fn entry(run: Run) -> FirstBootEntry {
    FirstBootEntry { run, ..FirstBootEntry::script(InputId("unused".to_owned())) }
}

fn operation() -> Operation {
    let script = |name: &str, arguments: Option<&str>| {
        Run::Script(InputId(name.to_owned()), arguments.map(str::to_owned))
    };
    Operation::FirstBoot(FirstBootSpec {
        run: vec![
            entry(script("scripts/plain.cmd", None)),
            FirstBootEntry { timeout: Some(90), ..entry(script("scripts/a.ps1", Some("-x 1"))) },
            FirstBootEntry {
                name: Some("start".to_owned()),
                reboot: Reboot::Always,
                ..entry(Run::Command("net start x".to_owned()))
            },
        ],
    })
}

fn inputs() -> MemoryInputs {
    let mut inputs = MemoryInputs::file("scripts/plain.cmd", "echo plain");
    inputs.0.extend(MemoryInputs::file("scripts/a.ps1", "'a'").0);
    inputs
}

#[test]
fn what_another_build_left_is_told() {
    let mut bench = SettingsBench::new();
    assert!(bench.problems(&operation(), &inputs()).is_empty());
    bench.run_twice(&operation(), &inputs());
    assert!(bench.problems(&operation(), &inputs()).is_empty(), "the same recipe again");
    let mut changed = inputs();
    changed.0.extend(MemoryInputs::file("scripts/plain.cmd", "echo changed").0);
    let told = bench.problems(&operation(), &changed);
    let cause = "these already wait on the base image, and run too: 01-plain.cmd";
    assert!(told.len() == 1 && told[0].warning && told[0].cause == cause, "{told:?}");
}

#[test]
fn scripts_and_commands_lie_in_their_order() {
    let mut bench = SettingsBench::new();
    bench.run_twice(&operation(), &inputs());
    let folder = r"\Windows\Setup\Scripts";
    let command_file = bench.text(&format!(r"{folder}\SetupComplete.cmd")).unwrap();
    let calls: Vec<&str> =
        command_file.lines().filter_map(|line| line.strip_prefix("call :wanted ")).collect();
    assert_eq!(calls.len(), 3, "{command_file}");
    assert_eq!(calls[0], "01-plain.cmd");
    assert!(calls[1].starts_with("02-a-") && calls[2].starts_with("03-start-"), "{calls:?}");
    assert_eq!(
        bench.text(&format!(r"{folder}\transom\01-plain.cmd")).as_deref(),
        Some("echo plain")
    );
    let around = bench.text(&format!(r"{folder}\transom\{}", calls[1])).unwrap();
    let last = around.lines().last().unwrap();
    let script = last.split(r"transom-run\").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(bench.text(&format!(r"{folder}\transom-run\{script}")).as_deref(), Some("'a'"));
    assert!(last.ends_with(r#"" -x 1"#) && around.contains("WaitForExit(90000)"), "{around}");
    let start = bench.text(&format!(r"{folder}\transom\{}", calls[2])).unwrap();
    assert!(start.ends_with(":run\r\nendlocal\r\nnet start x\r\n"), "{start}");
}

#[test]
fn windows_pe_has_no_first_boot() {
    let told = pe().refusal(&operation(), &inputs());
    assert!(
        told.contains("Windows PE runs no SetupComplete.cmd") && told.contains("[winpe]"),
        "{told}"
    );
}
