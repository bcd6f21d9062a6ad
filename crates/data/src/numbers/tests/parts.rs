//! Which pairs a part has.

use super::*;

fn draw(part: Part, kind: Kind, samples: usize, seed: u64) -> Vec<(String, String)> {
    pairs(part, Language::French, kind, samples, seed)
        .unwrap()
        .collect()
}

#[test]
fn no_part_has_a_pair_of_another() {
    let parts = [Part::Train, Part::Valid, Part::Test];
    // The seeds differ, which must change nothing.
    let sets = parts.map(|part| -> BTreeSet<String> {
        let drawn = draw(part, Kind::Both, 30_000, part as u64);
        drawn.into_iter().map(|pair| pair.0).collect()
    });
    assert!(sets[0].is_disjoint(&sets[1]) && sets[0].is_disjoint(&sets[2]));
    assert!(sets[1].is_disjoint(&sets[2]));
    // Valid and test have no pair twice.
    assert_eq!([sets[1].len(), sets[2].len()], [30_000, 30_000]);
    for (part, set) in parts.into_iter().zip(&sets) {
        let of_part = |text: &&String| part_of(read_english(text)).unwrap() == part;
        let numbers = set.iter().filter(|text| !text.contains(" of "));
        assert!(numbers.clone().all(|text| of_part(&text)));
        let share = numbers.count() as f64 / set.len() as f64;
        assert!(
            part == Part::Train || (0.74..0.76).contains(&share),
            "{share}"
        );
    }
}

#[test]
fn pairs_depend_on_seed_and_number_only() {
    for part in [Part::Train, Part::Valid, Part::Test] {
        let few = draw(part, Kind::Both, 300, 1);
        assert_eq!(few, draw(part, Kind::Both, 500, 1)[..300]);
        assert_ne!(few[200..], draw(part, Kind::Both, 300, 2)[200..]);
        assert_eq!(draw(part, Kind::Numbers, 0, 1), []);
        let german = pairs(part, Language::German, Kind::Both, 300, 1).unwrap();
        assert!(
            german
                .map(|pair| pair.0)
                .eq(few.into_iter().map(|pair| pair.0))
        );
    }
    // Runs that are compared rest on this.
    let test = draw(Part::Test, Kind::Numbers, 3, 42);
    let first: Vec<u32> = test.iter().map(|pair| read_english(&pair.0)).collect();
    assert_eq!(first, [5773, 719, 46]);
    let all = (1..LIMIT)
        .filter(|&n| part_of(n).unwrap() == Part::Test)
        .count();
    assert!((49_000..51_000).contains(&all), "{all}");
    assert_eq!(draw(Part::Test, Kind::Numbers, all, 1).len(), all);
    let error = pairs(Part::Test, Language::French, Kind::Numbers, all + 1, 1).err();
    assert!(
        error
            .unwrap()
            .to_string()
            .contains(&format!("give {all} or less"))
    );
}

#[test]
fn train_knows_the_words_of_what_is_held_out() {
    let held_out: Vec<u32> = (0..100)
        .filter(|&n| part_of(n).unwrap() != Part::Train)
        .collect();
    assert_eq!(held_out, [36, 38, 46, 54, 69, 87, 97]);
    assert_eq!(part_of(69).unwrap(), Part::Valid);
    assert!(
        [300, 4000, 50_000, 600_000]
            .iter()
            .all(|&n| part_of(n).unwrap() == Part::Train)
    );
    let train = draw(Part::Train, Kind::Numbers, 20_000, 1);
    let numbers: Vec<u32> = train.iter().map(|pair| read_english(&pair.0)).collect();
    let small = (0..100).filter(|n| !held_out.contains(n));
    assert!(numbers[..93].iter().copied().eq(small));
    // A sixth of 20,000 are 3,333, standard deviation 53.
    for digits in 1..=6 {
        let of_length = |&&n: &&u32| n.checked_ilog10().unwrap_or(0) + 1 == digits;
        let count = numbers[93..].iter().filter(of_length).count();
        assert!((3050..3620).contains(&count), "{digits} {count}");
    }
    let words = |pairs: &[(String, String)]| -> BTreeSet<String> {
        let texts = pairs.iter().flat_map(|pair| [&pair.0, &pair.1]);
        texts
            .flat_map(|text| text.split([' ', '-']))
            .map(str::to_owned)
            .collect()
    };
    let test = draw(Part::Test, Kind::Both, 5000, 1);
    let train = draw(Part::Train, Kind::Both, 20_000, 1);
    assert!(words(&test).is_subset(&words(&train)));
    let dates = draw(Part::Valid, Kind::Dates, 500, 1);
    assert!(dates.iter().all(|pair| pair.1.starts_with("le ")));
}
