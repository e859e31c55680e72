//! The page must have been bundled before it is embedded: a monitor without one, or with yesterday's, would be
//! found out by its users only.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

const BUILT: [&str; 4] = ["index.html", "app.js", "style.css", "favicon.svg"];
const SOURCES: [&str; 4] = ["page/src", "page/index.html", "page/favicon.svg", "page/package-lock.json"];

fn main() {
    for path in SOURCES.iter().copied().chain(["page/dist"]) {
        println!("cargo::rerun-if-changed={path}");
    }
    let built: Option<Vec<SystemTime>> = BUILT.iter().map(|file| changed(&Path::new("page/dist").join(file))).collect();
    let oldest = built.and_then(|times| times.into_iter().min());
    match (oldest, SOURCES.iter().filter_map(|source| newest(Path::new(source))).max()) {
        (None, _) => {
            println!("cargo::error=the monitor's page is not built: run `make page` (it needs Node.js 18 or newer)")
        }
        (Some(built), Some(changed)) if built < changed => {
            println!("cargo::error=the monitor's page is older than its sources: run `make page`");
        }
        _ => {}
    }
}

fn changed(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).ok()?.modified().ok()
}

/// The latest change below a path; what the bundler itself writes there does not count.
fn newest(path: &Path) -> Option<SystemTime> {
    if !path.is_dir() {
        return changed(path);
    }
    let entries = fs::read_dir(path).ok()?.flatten().map(|entry| entry.path());
    entries.filter(|path| !path.ends_with("openapi.d.ts")).filter_map(|path| newest(&path)).max()
}
