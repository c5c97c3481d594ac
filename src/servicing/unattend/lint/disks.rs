//! The plan for the disks: `DiskConfiguration` of Microsoft-Windows-Setup, and where `ImageInstall` puts Windows.

use std::collections::{BTreeMap, BTreeSet};

use crate::format::unattend::{AnswerFile, Component, Element};

use super::{Findings, Kind, shown};

pub(super) fn lint(file: &AnswerFile, findings: &mut Findings) {
    let components = file.passes.iter().flat_map(|pass| &pass.components);
    for component in
        components.filter(|one| one.name.eq_ignore_ascii_case("Microsoft-Windows-Setup"))
    {
        plan(component, findings);
    }
}

/// What a disk is asked to have: partitions by number, when all are known.
type Disks<'a> = BTreeMap<&'a str, Option<usize>>;

fn plan(component: &Component, findings: &mut Findings) {
    let mut disks = Disks::new();
    let mut letters: BTreeSet<String> = BTreeSet::new();
    if let Some(configuration) = component.setting(&["DiskConfiguration"]) {
        for disk in configuration.named("Disk") {
            let created: Vec<&Element> = disk
                .child("CreatePartitions")
                .map(|list| list.named("CreatePartition").collect())
                .unwrap_or_default();
            create(&created, findings);
            let wiped = is_true(disk.child("WillWipeDisk"));
            let count = wiped.then_some(created.len()).filter(|count| *count > 0);
            if let Some(id) = disk.child("DiskID") {
                disks.insert(id.value(), count);
            }
            if let Some(list) = disk.child("ModifyPartitions") {
                modify(list, count, &mut letters, findings);
            }
        }
    }
    for (image, what) in [("OSImage", "Windows"), ("DataImage", "the data image")] {
        let Some(list) = component.setting(&["ImageInstall"]) else { continue };
        for to in list.named(image).filter_map(|image| image.child("InstallTo")) {
            install_to(to, what, &disks, findings);
        }
    }
}

fn create(created: &[&Element], findings: &mut Findings) {
    let mut kinds: BTreeSet<&str> = BTreeSet::new();
    for (index, partition) in created.iter().enumerate() {
        let kind = partition.child("Type").map_or("", Element::value);
        kinds.insert(kind);
        let extend = is_true(partition.child("Extend"));
        let size = partition.child("Size");
        if let Some(size) = size.filter(|size| size.value().parse::<u32>().is_err()) {
            let cause = format!("Size is `{}`, not a number of MB", shown(size.value()));
            findings.error(Kind::DiskPlan, size.place, cause, "");
        }
        match (size.is_some(), extend) {
            (true, true) => {
                let help = "a partition has a size, or takes what is left: keep one of them";
                let cause = "a partition with both Size and Extend";
                findings.error(Kind::DiskPlan, partition.place, cause, help);
            }
            (false, false) => {
                let cause = "a partition with neither Size nor Extend";
                let help = "say how large it is, in MB, or <Extend>true</Extend>";
                findings.error(Kind::DiskPlan, partition.place, cause, help);
            }
            _ => {}
        }
        // A logical partition lies inside the extended one, which may take what is left.
        if extend && kind != "Extended" && index + 1 < created.len() {
            let cause = "a partition that takes what is left is not the last one";
            let help = "there would be no room for those behind it";
            findings.error(Kind::DiskPlan, partition.place, cause, help);
        }
    }
    if kinds.contains("EFI")
        && let Some(first) = created.first()
    {
        for (kind, why) in [
            ("MSR", "Windows asks for a reserved partition on GPT disks"),
            ("Primary", "Windows needs one to be installed to"),
        ] {
            if !kinds.contains(kind) {
                let cause = format!("a disk with an EFI partition has none of type {kind}");
                findings.warn(Kind::DiskPlan, first.place, cause, why);
            }
        }
    }
}

fn modify(
    list: &Element,
    count: Option<usize>,
    letters: &mut BTreeSet<String>,
    findings: &mut Findings,
) {
    for partition in list.named("ModifyPartition") {
        if let (Some(id), Some(count)) = (partition.child("PartitionID"), count) {
            within(id, count, findings);
        }
        let Some(letter) = partition.child("Letter") else { continue };
        let text = letter.value().to_uppercase();
        if !matches!(text.as_bytes(), [b'C'..=b'Z']) {
            let cause = format!("Letter is `{}`, not one of C to Z", shown(letter.value()));
            findings.error(Kind::DiskPlan, letter.place, cause, "");
        } else if !letters.insert(text.clone()) {
            let cause = format!("the letter {text} is given to two partitions");
            findings.error(Kind::DiskPlan, letter.place, cause, "give each its own");
        }
    }
}

fn install_to(to: &Element, what: &str, disks: &Disks<'_>, findings: &mut Findings) {
    let (Some(disk), Some(partition)) = (to.child("DiskID"), to.child("PartitionID")) else {
        return;
    };
    match disks.get(disk.value()) {
        Some(Some(count)) => within(partition, *count, findings),
        Some(None) => {}
        None if disks.is_empty() => {}
        None => {
            let cause = format!(
                "{what} goes to disk `{}`, which DiskConfiguration does not name",
                shown(disk.value())
            );
            findings.warn(Kind::DiskPlan, disk.place, cause, "it is used as it is then");
        }
    }
}

/// A partition's number: from 1, and one that is created.
fn within(id: &Element, count: usize, findings: &mut Findings) {
    let number = id.value().parse::<usize>().ok();
    if number.is_none_or(|number| number == 0 || number > count) {
        let cause = format!("there is no partition `{}`: {count} are created", shown(id.value()));
        findings.error(Kind::DiskPlan, id.place, cause, "partitions are counted from 1");
    }
}

fn is_true(element: Option<&Element>) -> bool {
    element.is_some_and(|element| element.value().eq_ignore_ascii_case("true"))
}
