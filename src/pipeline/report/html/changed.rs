//! What an image has that the base did not, area by area, and how much it has of everything.

use super::{
    format::{count, counted, difference, number, short, size},
    markup::Markup,
    view::{ImageView, View, heading, table},
};
use crate::servicing::inventory::{
    Inventory,
    diff::{Area, AreaChange, EntryChange, changes},
};

/// As many rows as an area has.
const MOST_ROWS: usize = 250;
/// As many letters as a row tells.
const MOST_LETTERS: usize = 300;

/// The section with what changed in an image.
pub(super) fn changed(markup: &mut Markup, view: &View<'_>, image: &ImageView<'_>) {
    image.section(markup, ("changed", "What changed in the image"), |markup| {
        let mut areas = changes(&image.part.before, &image.part.inventory);
        // Sizes of folders are drawn.
        areas.retain(|change| change.area != Area::Folders);
        overview(markup, image, &areas);
        if areas.is_empty() {
            let text = "Nothing that has a name here: no package, feature, driver, service, language, app or setting is other than in the base image.";
            markup.leaf("p", &[("class", "more")], text);
        }
        for change in &areas {
            let name = change.area.title();
            let id = image.id(&format!("changed-{}", name.to_lowercase().replace(' ', "-")));
            heading(markup, view.level() + 1, &id, name);
            rows(markup, view, image, change);
        }
    });
}

/// How many things of an area an image has, where they can be counted.
fn amount(area: Area, of: &Inventory) -> Option<usize> {
    match area {
        Area::Image | Area::Folders => None,
        Area::Packages => Some(of.packages.len()),
        Area::Features => Some(of.features.len()),
        Area::Capabilities => Some(of.capabilities.len()),
        Area::Languages => Some(of.languages.len()),
        Area::Drivers => Some(of.drivers.len()),
        Area::Services => Some(of.services.len()),
        Area::Apps => Some(of.apps.len()),
        Area::Settings => Some(of.settings.len()),
        Area::Pending => Some(of.pending.len()),
        Area::Deferred => Some(of.deferred.len()),
    }
}

/// How much there is of everything.
fn overview(markup: &mut Markup, image: &ImageView<'_>, changes: &[AreaChange]) {
    let (before, after) = (&image.part.before, &image.part.inventory);
    markup.element("ul", &[("class", "areas")], |markup| {
        for area in Area::ALL {
            let (Some(was), Some(now)) = (amount(area, before), amount(area, after)) else {
                continue;
            };
            if was + now == 0 {
                continue;
            }
            let changed = changes.iter().find(|change| change.area == area);
            let text = changed.map(tell).unwrap_or_else(|| "as before".to_owned());
            let name = match area {
                Area::Deferred => "for the first boot".to_owned(),
                area => area.title().to_lowercase(),
            };
            one_area(markup, &number(count(now)), &name, &text, changed.is_some());
        }
        let (was, now) = (before.folders.first(), after.folders.first());
        if let (Some(was), Some(now)) = (was, now) {
            let change = difference(was.bytes, now.bytes);
            let text = change.as_deref().unwrap_or("as before");
            one_area(markup, &size(now.bytes), "of files", text, change.is_some());
        }
    });
}

fn one_area(markup: &mut Markup, amount: &str, name: &str, text: &str, changed: bool) {
    let class = if changed { "area changed" } else { "area" };
    markup.element("li", &[("class", class)], |markup| {
        markup.leaf("span", &[("class", "count")], amount);
        markup.text(" ");
        markup.leaf("span", &[("class", "name")], name);
        markup.text(" ");
        markup.leaf("span", &[("class", "change")], text);
    });
}

/// `2 added, 1 changed`.
fn tell(change: &AreaChange) -> String {
    let (added, removed, changed) = change.counts();
    let kinds = [(added, "added"), (removed, "removed"), (changed, "changed")];
    let told: Vec<String> = kinds
        .into_iter()
        .filter(|(many, _)| *many > 0)
        .map(|(many, kind)| format!("{} {kind}", number(count(many))))
        .collect();
    told.join(", ")
}

fn rows(markup: &mut Markup, view: &View<'_>, image: &ImageView<'_>, change: &AreaChange) {
    let changes = counted(change.entries.len(), "change", "changes");
    let caption = format!("{} of {}: {changes}", change.area.title(), image.name);
    markup.element("div", &[("class", "changes")], |markup| {
        table(markup, (&caption, &["Change", "Name", "Before", "After"]), |markup| {
            for entry in change.entries.iter().take(MOST_ROWS) {
                row(markup, entry);
            }
        });
    });
    view.rest(markup, change.entries.len(), MOST_ROWS);
}

fn row(markup: &mut Markup, entry: &EntryChange) {
    let kind = match (&entry.old, &entry.new) {
        (None, _) => "added",
        (_, None) => "removed",
        _ => "changed",
    };
    markup.element("tr", &[], |markup| {
        markup.element("td", &[("class", "kind")], |markup| {
            markup.leaf("span", &[("class", &format!("mark {kind}"))], kind);
        });
        markup.element("th", &[("scope", "row")], |markup| {
            markup.leaf("code", &[], &short(&entry.name, MOST_LETTERS));
            if let Some(label) = &entry.label {
                markup.leaf("span", &[("class", "is")], &short(label, MOST_LETTERS));
            }
        });
        let sizes = [entry.old_bytes, entry.new_bytes].map(|bytes| bytes.map(size));
        for (value, size) in [&entry.old, &entry.new].into_iter().zip(sizes) {
            let value = value.as_deref().unwrap_or("\u{2013}");
            markup.element("td", &[], |markup| {
                markup.text(&short(value, MOST_LETTERS));
                if let Some(size) = size {
                    markup.leaf("span", &[("class", "is")], &size);
                }
            });
        }
    });
}
