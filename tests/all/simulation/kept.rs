//! Stories that once broke a promise, shrunk.

use super::story::Story;
use super::world::tell;

fn holds(story: &str) {
    let story: Story = story.parse().expect("a story");
    assert_eq!(tell(&story).err(), None, "{story}");
}
