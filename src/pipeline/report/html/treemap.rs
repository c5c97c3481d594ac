//! Rectangles whose areas are as sizes: squarified treemaps (Bruls, Huizing, van Wijk: "Squarified Treemaps", 2000).
//!
//! A folder's rectangle holds those of the folders in it and, beside them, one for what lies in it and in none of them. Areas are exact: nothing is taken away for
//! frames or names.

/// A rectangle, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Rectangle {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// A folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Folder {
    /// Its path.
    pub(super) path: String,
    /// Files in it and in no folder below it that is told.
    pub(super) own_files: u64,
    /// Their bytes.
    pub(super) own_bytes: u64,
    /// Bytes of all in and below it.
    pub(super) bytes: u64,
    /// Places of the folders in it.
    pub(super) children: Vec<usize>,
    /// How many folders it is in.
    pub(super) depth: usize,
}

/// A rectangle of a folder.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tile {
    /// Its place among the folders.
    pub(super) folder: usize,
    /// True for what lies in the folder itself, false for the frame around all of it.
    pub(super) own: bool,
    /// Where.
    pub(super) area: Rectangle,
}

/// Folders by what is in them, from paths with bytes and files of all in and below each; a folder's parent is the nearest above it that is told.
pub(super) fn folders<'a>(sizes: impl Iterator<Item = (&'a str, u64, u64)>) -> Vec<Folder> {
    let mut sizes: Vec<(&str, u64, u64)> = sizes.collect();
    // Parts are compared, not letters: `\a b` must not come between `\a` and `\a\c`.
    sizes.sort_by(|one, other| parts(one.0).cmp(parts(other.0)));
    sizes.dedup_by(|one, other| one.0 == other.0);
    let mut folders: Vec<Folder> = Vec::new();
    let mut above: Vec<usize> = Vec::new();
    for (path, files, bytes) in sizes {
        while above.last().is_some_and(|last| !is_below(path, &folders[*last].path)) {
            above.pop();
        }
        let place = folders.len();
        if let Some(parent) = above.last() {
            let parent = &mut folders[*parent];
            parent.children.push(place);
            parent.own_bytes = parent.own_bytes.saturating_sub(bytes);
            parent.own_files = parent.own_files.saturating_sub(files);
        }
        folders.push(Folder {
            path: path.to_owned(),
            own_files: files,
            own_bytes: bytes,
            bytes,
            children: Vec::new(),
            depth: above.len(),
        });
        above.push(place);
    }
    folders
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('\\').filter(|part| !part.is_empty())
}

fn is_below(path: &str, folder: &str) -> bool {
    let mut parts_of_path = parts(path);
    parts(folder).all(|part| parts_of_path.next() == Some(part)) && parts_of_path.next().is_some()
}

/// The rectangles of all folders in `area`, each frame before what is in it.
pub(super) fn tiles(folders: &[Folder], area: Rectangle) -> Vec<Tile> {
    let mut tiles = Vec::new();
    let roots = (0..folders.len()).filter(|place| folders[*place].depth == 0);
    // Folders whose frames are placed and whose content is not.
    let mut waiting = place(folders, roots.map(|root| (root, false)).collect(), area);
    waiting.reverse();
    while let Some(tile) = waiting.pop() {
        tiles.push(tile);
        if tile.own {
            continue;
        }
        let folder = &folders[tile.folder];
        let inside = folder.children.iter().map(|child| (*child, false));
        let inside = inside.chain([(tile.folder, true)]).collect();
        let mut placed = place(folders, inside, tile.area);
        placed.reverse();
        waiting.append(&mut placed);
    }
    tiles
}

/// Places items side by side; those of no size are left out.
fn place(folders: &[Folder], items: Vec<(usize, bool)>, area: Rectangle) -> Vec<Tile> {
    let size = |(folder, own): (usize, bool)| {
        if own { folders[folder].own_bytes } else { folders[folder].bytes }
    };
    let mut items: Vec<(u64, (usize, bool))> =
        items.into_iter().map(|item| (size(item), item)).filter(|(size, _)| *size > 0).collect();
    items.sort_by_key(|(size, item)| (std::cmp::Reverse(*size), *item));
    let sizes: Vec<u64> = items.iter().map(|(size, _)| *size).collect();
    let areas = squarify(&sizes, area);
    let tile =
        |((_, (folder, own)), area): ((u64, (usize, bool)), Rectangle)| Tile { folder, own, area };
    items.into_iter().zip(areas).map(tile).collect()
}

/// Divides `area` as `sizes`, the greatest first, so that the parts are as square as can be.
pub(super) fn squarify(sizes: &[u64], area: Rectangle) -> Vec<Rectangle> {
    let total: f64 = sizes.iter().map(|size| *size as f64).sum();
    if total <= 0.0 {
        return vec![Rectangle { width: 0.0, height: 0.0, ..area }; sizes.len()];
    }
    let scale = area.width * area.height / total;
    let mut left = area;
    let mut placed = Vec::with_capacity(sizes.len());
    let mut rest = sizes;
    while !rest.is_empty() {
        let side = left.width.min(left.height);
        let mut row = 1;
        let mut sum = rest[0] as f64 * scale;
        let mut worst = worst_ratio(sum, rest[0], rest[0], side, scale);
        while let Some(next) = rest.get(row) {
            let with = sum + *next as f64 * scale;
            let ratio = worst_ratio(with, rest[0], *next, side, scale);
            if ratio > worst {
                break;
            }
            (sum, worst, row) = (with, ratio, row + 1);
        }
        left = place_row(&rest[..row], sum, scale, left, &mut placed);
        rest = &rest[row..];
    }
    placed
}

/// How far from square the worst of a row is that has this sum, greatest and least.
fn worst_ratio(sum: f64, greatest: u64, least: u64, side: f64, scale: f64) -> f64 {
    let (greatest, least) = (greatest as f64 * scale, least as f64 * scale);
    let (side, sum) = (side * side, sum * sum);
    (side * greatest / sum).max(sum / (side * least))
}

/// Places a row along the shorter side; what is left.
fn place_row(
    row: &[u64],
    sum: f64,
    scale: f64,
    left: Rectangle,
    placed: &mut Vec<Rectangle>,
) -> Rectangle {
    let upright = left.width >= left.height;
    let side = if upright { left.height } else { left.width };
    let thick = if side > 0.0 { sum / side } else { 0.0 };
    let mut at = 0.0;
    for size in row {
        let long = if thick > 0.0 { *size as f64 * scale / thick } else { 0.0 };
        placed.push(if upright {
            Rectangle { x: left.x, y: left.y + at, width: thick, height: long }
        } else {
            Rectangle { x: left.x + at, y: left.y, width: long, height: thick }
        });
        at += long;
    }
    if upright {
        Rectangle { x: left.x + thick, width: (left.width - thick).max(0.0), ..left }
    } else {
        Rectangle { y: left.y + thick, height: (left.height - thick).max(0.0), ..left }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AREA: Rectangle = Rectangle { x: 0.0, y: 0.0, width: 1120.0, height: 480.0 };

    fn size(area: Rectangle) -> f64 {
        area.width * area.height
    }

    #[test]
    fn areas_are_as_sizes_and_fill_the_rectangle() {
        let sizes = [6000, 6000, 4000, 3000, 2000, 2000, 1000, 17, 3, 1];
        let total: u64 = sizes.iter().sum();
        let areas = squarify(&sizes, AREA);
        for (bytes, area) in sizes.iter().zip(&areas) {
            let expected = *bytes as f64 / total as f64 * size(AREA);
            assert!((size(*area) - expected).abs() < 1e-6 * size(AREA), "{bytes}: {area:?}");
            assert!(area.x >= 0.0 && area.x + area.width <= AREA.width + 1e-6);
            assert!(area.y >= 0.0 && area.y + area.height <= AREA.height + 1e-6);
        }
        for (place, one) in areas.iter().enumerate() {
            for other in &areas[..place] {
                let wide = (one.x + one.width).min(other.x + other.width) - one.x.max(other.x);
                let high = (one.y + one.height).min(other.y + other.height) - one.y.max(other.y);
                assert!(wide < 1e-6 || high < 1e-6, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn the_example_of_the_paper_comes_out_as_printed() {
        let area = Rectangle { width: 6.0, height: 4.0, ..Rectangle::default() };
        let areas = squarify(&[6, 6, 4, 3, 2, 2, 1], area);
        let near = |area: Rectangle, x: f64, y: f64, width: f64, height: f64| {
            (area.x - x).abs() + (area.y - y).abs() < 1e-9
                && (area.width - width).abs() + (area.height - height).abs() < 1e-9
        };
        assert!(near(areas[0], 0.0, 0.0, 3.0, 2.0) && near(areas[1], 0.0, 2.0, 3.0, 2.0));
        assert!(near(areas[2], 3.0, 0.0, 12.0 / 7.0, 7.0 / 3.0));
    }

    #[test]
    fn a_folder_has_what_lies_in_none_of_those_in_it() {
        let sizes = [
            (r"\Windows\System32", 30, 600),
            (r"\", 100, 1000),
            (r"\Windows", 60, 800),
            (r"\Windows Old", 5, 50),
            (r"\Windows\WinSxS\x", 2, 10),
        ];
        let folders = folders(sizes.into_iter());
        let told: Vec<_> =
            folders.iter().map(|f| (f.path.as_str(), f.own_bytes, f.own_files, f.depth)).collect();
        let expected = [
            (r"\", 150, 35, 0),
            (r"\Windows", 190, 28, 1),
            (r"\Windows\System32", 600, 30, 2),
            (r"\Windows\WinSxS\x", 10, 2, 2),
            (r"\Windows Old", 50, 5, 1),
        ];
        assert_eq!(told, expected);
        let own: u64 = folders.iter().map(|folder| folder.own_bytes).sum();
        assert_eq!(own, 1000);
        let tiles = tiles(&folders, AREA);
        let leaves: f64 = tiles.iter().filter(|tile| tile.own).map(|tile| size(tile.area)).sum();
        assert!((leaves - size(AREA)).abs() < 1e-6 * size(AREA));
        for tile in tiles.iter().filter(|tile| tile.own) {
            let part = folders[tile.folder].own_bytes as f64 / 1000.0;
            assert!((size(tile.area) - part * size(AREA)).abs() < 1e-6 * size(AREA));
        }
    }

    #[test]
    fn sizes_that_cannot_be_are_borne() {
        assert!(folders(std::iter::empty()).is_empty());
        assert!(tiles(&[], AREA).is_empty());
        let strange = [(r"\a", 1, 5), (r"\a\b", 9, 900), (r"\a\b", 9, 900), ("", 0, 0)];
        let folders = folders(strange.into_iter());
        let tiles = tiles(&folders, AREA);
        assert!(tiles.iter().all(|tile| tile.area.width.is_finite() && tile.area.height >= 0.0));
        assert_eq!(squarify(&[0, 0], AREA).len(), 2);
    }
}
