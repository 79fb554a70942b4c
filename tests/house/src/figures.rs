//! The figures that a designer of the house wants to know.

use std::{fs, path::Path};

use anyhow::Result;

use crate::{CRATES, circle, database, key, resolve::Read, size, source::Source};

/// All figures of the repository at `top`, a line each.
///
/// # Errors
///
/// When a file cannot be read, or is no Rust.
pub fn figures(top: &Path) -> Result<String> {
    let reads = CRATES.iter().map(|folder| Ok(Read::new(Source::read(top, folder)?))).collect::<Result<Vec<_>>>()?;
    let mut text = String::new();
    let (mut count, mut inside) = (0, 0);
    for read in &reads {
        for (above, siblings) in circle::arrows(read) {
            for circle in circle::circles(&siblings) {
                count += 1;
                inside += circle.len();
                let at = if above.is_empty() { String::new() } else { format!("::{above}") };
                text += &format!("    {}{at}: {}\n", read.source.name, circle.join(", "));
            }
        }
    }
    let circles = format!("circles                                  {count}, of {inside} modules\n{text}");
    let methods = reads
        .iter()
        .flat_map(|read| size::methods(read).into_iter().map(|(name, count)| (count, read.source.name.clone(), name)));
    let largest = methods.max().map_or_else(String::new, |(count, of, name)| format!("{count}, {of}::{name}"));
    let keys: usize = reads.iter().filter(|read| read.source.name == "chapar_relay").map(|read| key::bare(read).len()).sum();
    let (rust, files) = (size::rust_files(top)?, size::files(top)?);
    let mut lines = 0;
    for file in &rust {
        lines += fs::read_to_string(top.join(file))?.lines().count();
    }
    let long = long(top)?;
    let outside = database::outside(top)?.len();
    let old_style = rust.iter().filter(|file| file.ends_with("mod.rs")).count();
    Ok(format!(
        "{circles}files naming a database outside stores    {outside}\nmost methods of one type                 {largest}\n\
         bare u32 keys in the relay               {keys}\nfiles named mod.rs                       {old_style}\n\
         files above {} lines                    {}\nfunctions above {} lines                 {}\n\
         tracked files                            {}\nRust files                               {}\nlines of Rust                            {lines}\n",
        size::FILE_LINES_MAX,
        long.0,
        size::FUNCTION_LINES_MAX,
        long.1,
        files.len(),
        rust.len(),
    ))
}

/// Files and functions beyond their bounds.
fn long(top: &Path) -> Result<(usize, usize)> {
    let (mut files, mut functions) = (0, 0);
    for file in size::rust_files(top)? {
        files += usize::from(size::of_file(top, &file)?.lines > size::FILE_LINES_MAX);
        functions += size::of_functions(top, &file)?.iter().filter(|length| length.lines > size::FUNCTION_LINES_MAX).count();
    }
    Ok((files, functions))
}
