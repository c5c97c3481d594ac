//! What an image has that the base did not, area by area, and how much it has of everything.

use std::collections::BTreeMap;

use super::{
    format::{capital, count, counted, difference, number, short, size},
    markup::Markup,
    view::{ImageView, View, heading, section, table},
};
use crate::servicing::inventory::Inventory;

/// As many rows as an area has.
const MOST_ROWS: usize = 250;
/// As many letters as a row tells.
const MOST_LETTERS: usize = 300;

/// What can be compared: a name, and what is told of it.
type Things = BTreeMap<String, String>;

/// A thing that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
}

/// What changed in one area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Area {
    /// Its name.
    pub(super) name: &'static str,
    /// How many things it had and has.
    pub(super) counts: (usize, usize),
    /// What changed.
    pub(super) rows: Vec<Row>,
}

/// The section with what changed in an image.
pub(super) fn changed(markup: &mut Markup, view: &View<'_>, image: &ImageView<'_>) {
    let id = image.id("changed");
    section(markup, (view.level(), &id, "What changed in the image"), |markup| {
        let (before, after) = (&image.part.before, &image.part.inventory);
        let areas = areas(before, after);
        overview(markup, image, &areas);
        let changed: Vec<&Area> = areas.iter().filter(|area| !area.rows.is_empty()).collect();
        if changed.is_empty() {
            let text = "Nothing that has a name here: no package, feature, driver, service, language, app or setting is other than in the base image.";
            markup.leaf("p", &[], text);
        }
        for area in changed {
            let id = image.id(&format!("changed-{}", area.name.replace(' ', "-")));
            heading(markup, view.level() + 1, &id, &capital(area.name));
            rows(markup, view, image, area);
        }
    });
}

/// All areas, those without a change too.
pub(super) fn areas(before: &Inventory, after: &Inventory) -> Vec<Area> {
    let tellers: [(&'static str, fn(&Inventory) -> Things); 10] = [
        ("Windows", windows),
        ("packages", packages),
        ("features", features),
        ("capabilities", capabilities),
        ("languages", languages),
        ("drivers", drivers),
        ("services", services),
        ("apps", apps),
        ("settings", |inventory| inventory.settings.clone()),
        ("pending work", pending),
    ];
    let area = |(name, tell): (&'static str, fn(&Inventory) -> Things)| {
        let (old, new) = (tell(before), tell(after));
        Area { name, counts: (old.len(), new.len()), rows: compare(&old, &new) }
    };
    tellers.into_iter().map(area).collect()
}

fn compare(before: &Things, after: &Things) -> Vec<Row> {
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    let row = |name: &String| Row {
        name: name.clone(),
        before: before.get(name).cloned(),
        after: after.get(name).cloned(),
    };
    names.into_iter().map(row).filter(|row| row.before != row.after).collect()
}

fn windows(inventory: &Inventory) -> Things {
    let facts = &inventory.facts;
    let told = [
        ("version", inventory.version()),
        ("edition", facts.edition.clone()),
        ("product", facts.product_name.clone()),
        ("installation type", facts.installation_type.clone()),
        ("architecture", facts.architecture.map(|architecture| architecture.name().to_owned())),
        ("default language", facts.default_language.clone()),
    ];
    told.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn packages(inventory: &Inventory) -> Things {
    inventory.packages.iter().map(|item| (item.id.clone(), item.state.clone())).collect()
}

fn features(inventory: &Inventory) -> Things {
    inventory.features.iter().map(|item| (item.name.clone(), item.state.clone())).collect()
}

fn capabilities(inventory: &Inventory) -> Things {
    inventory.capabilities.iter().map(|item| (item.id.clone(), item.state.clone())).collect()
}

fn languages(inventory: &Inventory) -> Things {
    let tell = |item: &crate::servicing::inventory::LanguageItem| {
        let default = if item.default { "default" } else { "installed" };
        let offered = if item.registered { "" } else { ", not offered" };
        (item.tag.clone(), format!("{default}{offered}"))
    };
    inventory.languages.iter().map(tell).collect()
}

fn drivers(inventory: &Inventory) -> Things {
    let tell = |item: &crate::servicing::inventory::DriverItem| {
        let by = item.provider.as_ref().map(|by| format!(", {by}")).unwrap_or_default();
        let class = item.class.as_ref().map(|class| format!(", {class}")).unwrap_or_default();
        let active = if item.active { "" } else { ", not in force" };
        let name = format!("{} ({})", item.original, item.published);
        (name, format!("{}{by}{class}{active}", item.version))
    };
    inventory.drivers.iter().map(tell).collect()
}

fn services(inventory: &Inventory) -> Things {
    let tell = |item: &crate::servicing::inventory::ServiceItem| {
        let kind = if item.driver { " (driver)" } else { "" };
        let account = item.account.as_ref().map(|account| format!(", as {account}"));
        (format!("{}{kind}", item.name), format!("{}{}", item.start, account.unwrap_or_default()))
    };
    inventory.services.iter().map(tell).collect()
}

fn apps(inventory: &Inventory) -> Things {
    inventory.apps.iter().map(|item| (item.name.clone(), item.version.clone())).collect()
}

fn pending(inventory: &Inventory) -> Things {
    inventory.pending.iter().map(|item| (item.place.clone(), item.what.clone())).collect()
}

/// How much there is of everything.
fn overview(markup: &mut Markup, image: &ImageView<'_>, areas: &[Area]) {
    markup.element("ul", &[("class", "areas")], |markup| {
        for area in areas.iter().filter(|area| area.name != "Windows" && area.counts != (0, 0)) {
            let class = if area.rows.is_empty() { "area" } else { "area changed" };
            markup.element("li", &[("class", class)], |markup| {
                markup.leaf("span", &[("class", "count")], &number(count(area.counts.1)));
                markup.text(" ");
                markup.leaf("span", &[("class", "name")], area.name);
                markup.text(" ");
                let text = match area.rows.len() {
                    0 => "as before".to_owned(),
                    many => counted(many, "change", "changes"),
                };
                markup.leaf("span", &[("class", "change")], &text);
            });
        }
        let (was, now) = (image.part.before.folders.first(), image.part.inventory.folders.first());
        if let (Some(was), Some(now)) = (was, now) {
            let change = difference(was.bytes, now.bytes);
            let class = if change.is_none() { "area" } else { "area changed" };
            markup.element("li", &[("class", class)], |markup| {
                markup.leaf("span", &[("class", "count")], &size(now.bytes));
                markup.text(" ");
                markup.leaf("span", &[("class", "name")], "of files");
                markup.text(" ");
                let text = change.unwrap_or_else(|| "as before".to_owned());
                markup.leaf("span", &[("class", "change")], &text);
            });
        }
    });
}

fn rows(markup: &mut Markup, view: &View<'_>, image: &ImageView<'_>, area: &Area) {
    let caption = format!("{} of {}: what changed", capital(area.name), image.name);
    table(markup, (&caption, &["Change", "Name", "Before", "After"]), |markup| {
        for row in area.rows.iter().take(MOST_ROWS) {
            let (class, word) = match (&row.before, &row.after) {
                (None, _) => ("added", "added"),
                (_, None) => ("removed", "removed"),
                _ => ("changed", "changed"),
            };
            markup.element("tr", &[("class", class)], |markup| {
                markup.element("td", &[("class", "kind")], |markup| {
                    markup.leaf("span", &[("class", &format!("mark {class}"))], word);
                });
                markup.element("th", &[("scope", "row")], |markup| {
                    markup.leaf("code", &[], &short(&row.name, MOST_LETTERS));
                });
                for value in [&row.before, &row.after] {
                    let value = value.as_deref().unwrap_or("\u{2013}");
                    markup.leaf("td", &[], &short(value, MOST_LETTERS));
                }
            });
        }
    });
    view.rest(markup, area.rows.len(), MOST_ROWS);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servicing::inventory::{AppItem, CapabilityItem};

    #[test]
    fn what_came_went_and_changed_is_told_by_area() {
        let app = |name: &str, version: &str| AppItem {
            name: name.to_owned(),
            full_name: String::new(),
            version: version.to_owned(),
        };
        let mut before = Inventory { apps: vec![app("A", "1"), app("B", "1")], ..Inventory::default() };
        before.settings.insert("time-zone".to_owned(), "UTC".to_owned());
        let capabilities =
            vec![CapabilityItem { id: "OpenSSH".to_owned(), state: "installed".to_owned() }];
        let after = Inventory {
            apps: vec![app("B", "2"), app("C", "1")],
            settings: before.settings.clone(),
            capabilities,
            ..Inventory::default()
        };
        let mut told = Vec::new();
        for area in areas(&before, &after) {
            for row in area.rows {
                let [was, now] = [row.before, row.after].map(|value| value.unwrap_or_default());
                told.push(format!("{} {} {was}>{now}", area.name, row.name));
            }
        }
        let expected =
            ["capabilities OpenSSH >installed", "apps A 1>", "apps B 1>2", "apps C >1"];
        assert_eq!(told, expected);
        assert!(areas(&after, &after).iter().all(|area| area.rows.is_empty()));
    }
}
