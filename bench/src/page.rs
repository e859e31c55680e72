//! Where results go: the standard output, and the sections of a Markdown page that bear their names.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

const END: &str = "<!-- bench:end -->";

/// See the module.
pub struct Page(Option<PathBuf>);

impl Page {
    /// Results are printed, and written to `file` when there is one.
    ///
    /// # Errors
    /// When the file cannot be read: better before an hour of measuring than after it.
    pub fn open(file: Option<PathBuf>) -> Result<Self> {
        if let Some(path) = &file {
            fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        }
        Ok(Self(file))
    }

    /// Prints a section and replaces it on the page; the prose around it stays.
    ///
    /// # Errors
    /// When the page has no such section or cannot be written.
    pub fn put(&self, section: &str, text: &str) -> Result<()> {
        println!("\n{text}");
        let Some(path) = &self.0 else { return Ok(()) };
        let page = fs::read_to_string(path)?;
        let page = replaced(&page, section, text)
            .with_context(|| format!("{} has no section <!-- bench:{section} --> … {END}", path.display()))?;
        fs::write(path, page).with_context(|| format!("writing {}", path.display()))
    }
}

/// The page with `text` between the section's marks, or nothing when a mark is missing.
fn replaced(page: &str, section: &str, text: &str) -> Option<String> {
    let (before, rest) = page.split_once(&format!("<!-- bench:{section} -->"))?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}<!-- bench:{section} -->\n\n{}\n\n{END}{after}", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::replaced;

    #[test]
    fn a_section_is_replaced_and_the_prose_stays() {
        let page = "# Title\n<!-- bench:a -->\nold\n<!-- bench:end -->\nwhy\n<!-- bench:b -->\n<!-- bench:end -->\n";
        let new = replaced(page, "a", "| new |").expect("the page has section a");
        assert!(new.contains("<!-- bench:a -->\n\n| new |\n\n<!-- bench:end -->\nwhy\n<!-- bench:b -->"), "{new}");
        assert!(!new.contains("old"), "{new}");
        assert_eq!(replaced(&new, "a", "| new |"), Some(new));
        assert_eq!(replaced(page, "c", ""), None);
    }
}
