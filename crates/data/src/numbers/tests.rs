//! Words are read back by parsers that know nothing of how they were written.

mod forms;
mod parts;

use std::collections::BTreeSet;

use super::*;

/// The place in a list of words between spaces.
fn place(list: &str, word: &str) -> Option<u32> {
    let place = list.split(' ').position(|known| known == word);
    place.map(|place| place as u32)
}

const ENGLISH: &str = "zero one two three four five six seven eight nine ten eleven twelve \
                       thirteen fourteen fifteen sixteen seventeen eighteen nineteen";
const ENGLISH_TENS: &str = "- - twenty thirty forty fifty sixty seventy eighty ninety";

fn read_english(text: &str) -> u32 {
    let (mut total, mut group) = (0, 0);
    for word in text.split([' ', '-']) {
        match word {
            "thousand" => total += std::mem::take(&mut group) * 1000,
            "hundred" => group *= 100,
            _ => {
                let tens = || place(ENGLISH_TENS, word).map(|tens| tens * 10);
                group += place(ENGLISH, word).or_else(tens).unwrap();
            }
        }
    }
    total + group
}

const FRENCH: &str = "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize \
                      quatorze quinze seize";
const FRENCH_TENS: &str = "- - vingt trente quarante cinquante soixante";

fn read_french(text: &str) -> u32 {
    let (mut total, mut group, mut before) = (0_u32, 0, "");
    for word in text.split([' ', '-']) {
        match word {
            "et" => {}
            "mille" => total += std::mem::take(&mut group).max(1) * 1000,
            "cent" | "cents" => group = 100 * group.max(1),
            "vingt" | "vingts" if before == "quatre" => group += 80 - 4,
            _ => {
                let tens = || place(FRENCH_TENS, word).map(|tens| tens * 10);
                group += place(FRENCH, word).or_else(tens).unwrap();
            }
        }
        before = word;
    }
    total + group
}

const GERMAN: &str = "- ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn \
                      vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn";
const GERMAN_TENS: &str = "- - zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig";

fn read_german(word: &str) -> u32 {
    if let Some((high, low)) = word.split_once("tausend") {
        return read_german_front(high) * 1000 + read_german(low);
    }
    if let Some((high, low)) = word.split_once("hundert") {
        return read_german_front(high) * 100 + read_german(low);
    }
    match word {
        "" => 0,
        "eins" => 1,
        "ein" => panic!("ends in ein"),
        _ => read_german_front(word),
    }
}

/// A word before another, in which one is "ein".
fn read_german_front(word: &str) -> u32 {
    if let Some((high, low)) = word.split_once("hundert") {
        let low = if low.is_empty() {
            0
        } else {
            read_german_front(low)
        };
        return read_german_front(high) * 100 + low;
    }
    if let Some((ones, tens)) = word.split_once("und") {
        return place(GERMAN, ones).unwrap() + 10 * place(GERMAN_TENS, tens).unwrap();
    }
    let tens = || place(GERMAN_TENS, word).map(|tens| tens * 10);
    place(GERMAN, word).or_else(tens).unwrap()
}

const CHINESE: &str = "零 一 二 三 四 五 六 七 八 九";

fn read_chinese(text: &str) -> u32 {
    let (mut total, mut group, mut digit) = (0, 0, 0);
    for (at, sign) in text.char_indices() {
        match sign {
            '万' => total = (std::mem::take(&mut group) + std::mem::take(&mut digit)) * 10_000,
            '千' => group += std::mem::take(&mut digit) * 1000,
            '百' => group += std::mem::take(&mut digit) * 100,
            '十' if at == 0 => group += 10,
            '十' => group += std::mem::take(&mut digit) * 10,
            '两' => digit = 2,
            _ => digit = place(CHINESE, &sign.to_string()).unwrap(),
        }
    }
    total + group + digit
}

fn in_all(n: u32) -> [String; 4] {
    let [french, german, chinese] = Language::ALL.map(|language| words(language, n).unwrap());
    [english(n).unwrap(), french, german, chinese]
}

/// All below 20,000, and one in 13 of the others.
fn many() -> impl Iterator<Item = u32> {
    (0..20_000)
        .chain((20_000..LIMIT).step_by(13))
        .chain([LIMIT - 1])
}

#[test]
fn every_number_is_read_back() {
    for n in many() {
        let [english, french, german, chinese] = in_all(n);
        assert_eq!(read_english(&english), n, "{english}");
        assert_eq!(read_french(&french), n, "{french}");
        assert_eq!(read_chinese(&chinese), n, "{chinese}");
        let german_reads = if n == 0 {
            u32::from(german != "null")
        } else {
            read_german(&german)
        };
        assert_eq!(german_reads, n, "{german}");
    }
}

#[test]
fn spelling_follows_the_rules() {
    for n in many() {
        let [english, french, german, chinese] = in_all(n);
        let (high, low) = (n / 1000, n % 1000);
        let hyphens = |n: u32| usize::from(n % 100 > 20 && !n.is_multiple_of(10));
        assert_eq!(
            english.matches('-').count(),
            hyphens(high) + hyphens(low),
            "{english}"
        );
        let and = |n: u32| usize::from([21, 31, 41, 51, 61, 71].contains(&(n % 100)));
        assert_eq!(
            french.matches(" et ").count(),
            and(high) + and(low),
            "{french}"
        );
        // An s stands at the end of the number or nowhere.
        assert_eq!(
            french.ends_with("cents"),
            low >= 200 && low % 100 == 0,
            "{french}"
        );
        assert_eq!(french.ends_with("vingts"), low % 100 == 80, "{french}");
        assert!(
            !french.contains("cents ") && !french.contains("vingts "),
            "{french}"
        );
        assert!(
            !french.contains("vingts-") && !french.starts_with("un "),
            "{french}"
        );
        assert_eq!(german.ends_with("eins"), n % 100 == 1, "{german}");
        assert!(
            !german.contains(' ') && german.matches("eins").count() < 2,
            "{german}"
        );
        check_chinese(n, &chinese);
    }
}

fn check_chinese(n: u32, text: &str) {
    let signs: Vec<char> = text.chars().collect();
    let zeros: Vec<usize> = (0..signs.len()).filter(|&at| signs[at] == '零').collect();
    // A zero for each gap between two digits of the same four, or before the lower four.
    let digits = format!("{n:06}");
    let low = digits[2..].trim_end_matches('0');
    let low = if n < 10_000 {
        low.trim_start_matches('0')
    } else {
        low
    };
    let gaps = low
        .split(|digit| digit != '0')
        .filter(|gap| !gap.is_empty());
    assert_eq!(
        zeros.len(),
        gaps.count() + usize::from(n == 0),
        "{n} {text}"
    );
    for at in zeros {
        assert!(
            n == 0 || at > 0 && at + 1 < signs.len() && signs[at + 1] != '零',
            "{n} {text}"
        );
    }
    for (at, pair) in signs.windows(2).enumerate() {
        // 两 where a two begins the number before 千 or 万, and only there.
        assert!(
            pair[0] != '两' || at == 0 && ['千', '万'].contains(&pair[1]),
            "{n} {text}"
        );
        assert!(
            at > 0 || pair[0] != '二' || !['千', '万'].contains(&pair[1]),
            "{n} {text}"
        );
        assert!(at > 0 || pair != ['一', '十'].as_slice(), "{n} {text}");
        assert!(pair[1] != '十' || CHINESE.contains(pair[0]), "{n} {text}");
    }
}

#[test]
fn years_and_days_are_read_back() {
    for year in YEARS {
        let date = Date::new(year, 6, 11).unwrap();
        let english = date.english();
        let words = english.strip_prefix("the eleventh of june ").unwrap();
        let pair = words.replace(" oh ", " ").replacen(" hundred", " zero", 1);
        let read = match pair.split_once(' ') {
            Some((high, low)) if !words.contains("thousand") => {
                read_english(high) * 100 + read_english(low)
            }
            _ => read_english(words),
        };
        assert_eq!(
            (read, words.contains(" oh ")),
            (year, year % 1000 > 9 && (1..10).contains(&(year % 100))),
            "{words}"
        );
        let french = date.words(Language::French);
        assert_eq!(
            read_french(french.strip_prefix("le onze juin ").unwrap()),
            year
        );
        let german = date.words(Language::German);
        assert_eq!(
            read_german(german.strip_prefix("der elfte Juni ").unwrap()),
            year
        );
        let chinese = date.words(Language::Chinese).replace('〇', "零");
        let digits = chinese.strip_suffix("年六月十一日").unwrap().chars();
        let digit = |sign: char| place(CHINESE, &sign.to_string()).unwrap();
        assert_eq!(digits.fold(0, |read, sign| read * 10 + digit(sign)), year);
    }
    let mut ordinals = BTreeSet::new();
    for day in 2..=31 {
        let date = Date::new(1950, 7, day).unwrap();
        let french = date.words(Language::French);
        let (word, _) = french[3..].split_once(" juillet").unwrap();
        assert_eq!(read_french(word), day);
        let german = date.words(Language::German);
        let end = if day < 20 { "te Juli" } else { "ste Juli" };
        let (word, _) = german[4..].split_once(end).unwrap();
        match word {
            "drit" | "sieb" | "ach" => assert!([3, 7, 8].contains(&day)),
            _ => assert_eq!(read_german_front(word), day),
        }
        // Every ordinal ends in th but those of 1, 2 and 3.
        let english = date.english();
        let (word, _) = english[4..].split_once(" of july").unwrap();
        let end = match day % 10 {
            1 if day != 11 => "first",
            2 if day != 12 => "second",
            3 if day != 13 => "third",
            _ => "th",
        };
        assert!(word.ends_with(end), "{day} {word}");
        let cardinal = &in_all(day)[0];
        assert!(day < 3 || word[..2] == cardinal[..2], "{day} {word}");
        assert_eq!(
            word.contains("teen"),
            (13..20).contains(&day),
            "{day} {word}"
        );
        assert!(ordinals.insert(word.to_owned()), "{day} {word}");
    }
}
