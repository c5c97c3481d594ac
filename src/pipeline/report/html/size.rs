//! What lies where in an image: a treemap, and the same as a table.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    format::{count, difference, fitting, number, size},
    markup::Markup,
    treemap::{Folder, Rectangle, Tile, folders, tiles},
    view::{ImageView, View, scroller, table},
};
use crate::servicing::inventory::FolderSize;

const AREA: Rectangle = Rectangle { x: 0.0, y: 0.0, width: 1120.0, height: 460.0 };
/// As many folders as the table has.
const MOST_ROWS: usize = 150;

/// What is told of a folder's own content: its size before, if that is known.
type Before = BTreeMap<String, u64>;

/// The section with the sizes of an image.
pub(super) fn sizes(markup: &mut Markup, view: &View<'_>, image: &ImageView<'_>) {
    let now = &image.part.inventory.folders;
    if now.is_empty() {
        return;
    }
    image.section(markup, ("size", "Size by folder"), |markup| {
        let told: BTreeSet<&str> = now.iter().map(|folder| folder.path.as_str()).collect();
        let before = &image.part.before.folders;
        let same = before.iter().filter(|folder| told.contains(folder.path.as_str()));
        let own_before: Before =
            tree(same).into_iter().map(|folder| (folder.path, folder.own_bytes)).collect();
        let folders = tree(now.iter());
        let total = image.bytes();
        let was = before.first().map_or(total, |root| root.bytes);
        let change = difference(was, total).map_or_else(
            || "as large as the base image".to_owned(),
            |change| format!("{change} against the base image"),
        );
        let text = format!(
            "{} in {} files, {change}. Uncompressed; each file counted once. A rectangle is what lies in a folder and in none of those drawn in it.",
            size(total),
            number(now.first().map_or(0, |root| root.files)),
        );
        markup.leaf("p", &[("class", "lead")], &text);
        legend(markup);
        scroller(markup, "Sizes of folders, drawn", |markup| {
            draw(markup, &image.id("size-drawn"), &folders, &own_before);
        });
        markup.element("details", &[("class", "more-of")], |markup| {
            markup.leaf("summary", &[], "Folders as a table");
            rows(markup, view, image);
        });
    });
}

fn tree<'a>(sizes: impl Iterator<Item = &'a FolderSize>) -> Vec<Folder> {
    folders(sizes.map(|folder| (folder.path.as_str(), folder.files, folder.bytes)))
}

fn legend(markup: &mut Markup) {
    let meanings = [
        ("same", "as in the base"),
        ("grown-1", "grown"),
        ("grown-2", "by a twentieth and more"),
        ("grown-3", "by a quarter and more, or new"),
        ("shrunk", "shrunk"),
    ];
    markup.element("ul", &[("class", "legend")], |markup| {
        for (class, meaning) in meanings {
            markup.element("li", &[], |markup| {
                let class = format!("swatch {class}");
                markup.leaf("span", &[("class", &class), ("aria-hidden", "true")], "");
                markup.text(meaning);
            });
        }
    });
}

fn draw(markup: &mut Markup, id: &str, folders: &[Folder], before: &Before) {
    let frame = format!("0 0 {} {}", AREA.width, AREA.height);
    let attributes = [
        ("class", "treemap"),
        ("viewBox", frame.as_str()),
        ("width", "1120"),
        ("height", "460"),
        ("role", "img"),
        ("aria-labelledby", id),
    ];
    markup.element("svg", &attributes, |markup| {
        markup.leaf(
            "title",
            &[("id", id)],
            "Folders of the image by size; the table below tells the same",
        );
        let tiles = tiles(folders, AREA);
        for tile in tiles.iter().filter(|tile| tile.own) {
            let folder = &folders[tile.folder];
            draw_own(markup, tile, folder, before.get(&folder.path).copied());
        }
        for tile in
            tiles.iter().filter(|tile| !tile.own && (1..3).contains(&folders[tile.folder].depth))
        {
            let class = if folders[tile.folder].depth == 1 { "frame top" } else { "frame" };
            rectangle(markup, class, tile.area);
        }
    });
}

fn draw_own(markup: &mut Markup, tile: &Tile, folder: &Folder, before: Option<u64>) {
    let change = match before {
        Some(before) => difference(before, folder.own_bytes),
        None => Some("new, or was too small to be told".to_owned()),
    };
    markup.element("g", &[("class", class(folder.own_bytes, before))], |markup| {
        let title = format!(
            "{}: {} in {} files{}",
            folder.path,
            size(folder.own_bytes),
            number(folder.own_files),
            change.as_ref().map(|change| format!(", {change}")).unwrap_or_default(),
        );
        markup.leaf("title", &[], &title);
        rectangle(markup, "tile", tile.area);
        let change = if before.is_none() { Some("new".to_owned()) } else { change };
        labels(markup, tile.area, folder, change);
    });
}

/// The class that a rectangle's colour comes from.
fn class(now: u64, before: Option<u64>) -> &'static str {
    let Some(before) = before else { return "grown-3" };
    let grown = u128::from(now.saturating_sub(before));
    match now.cmp(&before) {
        std::cmp::Ordering::Equal => "same",
        std::cmp::Ordering::Less => "shrunk",
        std::cmp::Ordering::Greater if grown * 4 >= u128::from(before) => "grown-3",
        std::cmp::Ordering::Greater if grown * 20 >= u128::from(before) => "grown-2",
        std::cmp::Ordering::Greater => "grown-1",
    }
}

fn rectangle(markup: &mut Markup, class: &str, area: Rectangle) {
    let [x, y, width, height] =
        [area.x, area.y, area.width, area.height].map(|length| format!("{length:.1}"));
    let shape = [
        ("class", class),
        ("x", x.as_str()),
        ("y", y.as_str()),
        ("width", width.as_str()),
        ("height", height.as_str()),
    ];
    markup.shape("rect", &shape);
}

/// Name, size and change, as far as there is room.
fn labels(markup: &mut Markup, area: Rectangle, folder: &Folder, change: Option<String>) {
    let room = whole(area.width).saturating_sub(12);
    let high = whole(area.height);
    if room < 30 || high < 20 {
        return;
    }
    let name = folder.path.trim_matches('\\');
    let last = name.rsplit('\\').next().unwrap_or(name);
    let name = if name.is_empty() { "\\" } else { name };
    let full = fitting(name, room, 13, false);
    let shown = if full == name { full } else { fitting(last, room, 13, false) };
    let mut lines = vec![("name", shown)];
    let mut add = |class, text: String, needed: usize| {
        // A number that is cut off is a wrong number.
        if high >= needed && fitting(&text, room, 12, false) == text {
            lines.push((class, text));
        }
    };
    add("bytes", size(folder.own_bytes), 36);
    if let Some(change) = change {
        add("change", change, 52);
    }
    for (place, (class, text)) in lines.iter().enumerate() {
        let x = format!("{:.1}", area.x + 6.0);
        let y = format!("{:.1}", area.y + 16.0 + 15.0 * place as f64);
        markup.leaf("text", &[("class", class), ("x", &x), ("y", &y)], text);
    }
}

/// The pixels of a length, which is never more than the drawing is wide.
fn whole(length: f64) -> usize {
    (0..1200).rev().find(|pixels| *pixels as f64 <= length).unwrap_or(0)
}

fn rows(markup: &mut Markup, view: &View<'_>, image: &ImageView<'_>) {
    let before: BTreeMap<&str, u64> = image
        .part
        .before
        .folders
        .iter()
        .map(|folder| (folder.path.as_str(), folder.bytes))
        .collect();
    let now: BTreeSet<&str> =
        image.part.inventory.folders.iter().map(|folder| folder.path.as_str()).collect();
    let mut all: Vec<&FolderSize> = image.part.inventory.folders.iter().collect();
    all.sort_by_key(|folder| std::cmp::Reverse(folder.bytes));
    let caption = format!("Folders of {} by size, with all below them", image.name);
    table(markup, (&caption, &["Folder", "Files", "Size", "Before", "Change"]), |markup| {
        for folder in all.iter().take(MOST_ROWS) {
            let was = before.get(folder.path.as_str()).copied();
            markup.element("tr", &[], |markup| {
                markup.element("th", &[("scope", "row")], |markup| {
                    markup.leaf("code", &[], &folder.path);
                });
                let change = was.map_or_else(
                    || "new, or was too small".to_owned(),
                    |was| difference(was, folder.bytes).unwrap_or_default(),
                );
                let cells = [
                    number(folder.files),
                    size(folder.bytes),
                    was.map(size).unwrap_or_default(),
                    change,
                ];
                for cell in cells {
                    markup.leaf("td", &[("class", "count")], &cell);
                }
            });
        }
    });
    view.rest(markup, all.len(), MOST_ROWS);
    let gone = before.keys().filter(|path| !now.contains(**path)).count();
    if gone > 0 {
        let text = format!(
            "{} of the base image {} gone, or too small now to be told.",
            number(count(gone)),
            if gone == 1 { "folder is" } else { "folders are" },
        );
        markup.leaf("p", &[("class", "more")], &text);
    }
}
