//! "Did you mean ...?"

/// Returns the known name that `name` most likely was meant to be: at most two slips away, and fewer than its length allows.
pub(crate) fn closest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let distance = |known: &str| strsim::osa_distance(name, known);
    let near = known.iter().copied().min_by_key(|known| distance(known))?;
    let slips = distance(near);
    (slips <= 2 && slips < name.chars().count().div_ceil(2)).then_some(near)
}
