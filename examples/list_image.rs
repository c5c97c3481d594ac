//! Opens a WIM and walks the tree of one of its images: path, size, and how many names a file has.
//!
//! ```text
//! cargo run --example list_image -- install.wim 1
//! ```
//!
//! Opening reads the WIM's tables and the image's metadata, nothing of the files. [`Image::read`] and [`Image::stream`] give their content.

#![expect(clippy::print_stdout, reason = "a program that lists prints")]

use std::{env, error::Error, path::Path, sync::Arc};

use transom::{base::limits::Limits, format::wim::Wim, image::Image};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1);
    let path = arguments.next().ok_or("usage: list_image WIM [INDEX]")?;
    let index = match arguments.next() {
        Some(text) => text.to_str().ok_or("the index is not a number")?.parse()?,
        None => 1,
    };

    // Limits say what an untrusted file may cost: memory, depth, sizes.
    let limits = Limits::default();
    let wim = Arc::new(Wim::open_path(Path::new(&path), &limits)?);
    for number in 1..=wim.image_count() {
        println!("image {number}: {}", wim.xml().image_name(number).unwrap_or("(no name)"));
    }

    let mut image = Image::open(Arc::clone(&wim), index, &limits)?;
    // What the image says about itself: from its hives and its kernel, not from the XML.
    let facts = image.facts();
    println!("\nimage {index}: edition {:?}, build {:?}\n", facts.edition, facts.build);

    let tree = image.tree();
    for node in tree.walk() {
        let (inode, path) = (tree.inode(node), tree.path_of(node));
        if inode.is_directory() {
            println!("{:>12}  {path}", "folder");
        } else {
            let size = inode.data().size;
            match tree.links(node) {
                1 => println!("{size:>12}  {path}"),
                names => println!("{size:>12}  {path} (one of {names} names)"),
            }
        }
    }
    Ok(())
}
