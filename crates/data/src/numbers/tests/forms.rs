//! Forms that are known by heart.

use super::*;

#[test]
fn irregular_forms_are_right() {
    for (n, english, french, german, chinese) in [
        (0, "zero", "zéro", "null", "零"),
        (1, "one", "un", "eins", "一"),
        (2, "two", "deux", "zwei", "二"),
        (10, "ten", "dix", "zehn", "十"),
        (12, "twelve", "douze", "zwölf", "十二"),
        (16, "sixteen", "seize", "sechzehn", "十六"),
        (17, "seventeen", "dix-sept", "siebzehn", "十七"),
        (20, "twenty", "vingt", "zwanzig", "二十"),
        (21, "twenty-one", "vingt et un", "einundzwanzig", "二十一"),
        (30, "thirty", "trente", "dreißig", "三十"),
        (40, "forty", "quarante", "vierzig", "四十"),
        (60, "sixty", "soixante", "sechzig", "六十"),
        (61, "sixty-one", "soixante et un", "einundsechzig", "六十一"),
        (70, "seventy", "soixante-dix", "siebzig", "七十"),
        (
            71,
            "seventy-one",
            "soixante et onze",
            "einundsiebzig",
            "七十一",
        ),
        (
            76,
            "seventy-six",
            "soixante-seize",
            "sechsundsiebzig",
            "七十六",
        ),
        (
            77,
            "seventy-seven",
            "soixante-dix-sept",
            "siebenundsiebzig",
            "七十七",
        ),
        (80, "eighty", "quatre-vingts", "achtzig", "八十"),
        (
            81,
            "eighty-one",
            "quatre-vingt-un",
            "einundachtzig",
            "八十一",
        ),
        (90, "ninety", "quatre-vingt-dix", "neunzig", "九十"),
        (
            91,
            "ninety-one",
            "quatre-vingt-onze",
            "einundneunzig",
            "九十一",
        ),
        (
            97,
            "ninety-seven",
            "quatre-vingt-dix-sept",
            "siebenundneunzig",
            "九十七",
        ),
        (100, "one hundred", "cent", "einhundert", "一百"),
        (
            101,
            "one hundred one",
            "cent un",
            "einhunderteins",
            "一百零一",
        ),
        (
            110,
            "one hundred ten",
            "cent dix",
            "einhundertzehn",
            "一百一十",
        ),
        (200, "two hundred", "deux cents", "zweihundert", "二百"),
        (
            201,
            "two hundred one",
            "deux cent un",
            "zweihunderteins",
            "二百零一",
        ),
        (
            222,
            "two hundred twenty-two",
            "deux cent vingt-deux",
            "zweihundertzweiundzwanzig",
            "二百二十二",
        ),
        (
            280,
            "two hundred eighty",
            "deux cent quatre-vingts",
            "zweihundertachtzig",
            "二百八十",
        ),
        (1000, "one thousand", "mille", "eintausend", "一千"),
        (
            1001,
            "one thousand one",
            "mille un",
            "eintausendeins",
            "一千零一",
        ),
        (
            1010,
            "one thousand ten",
            "mille dix",
            "eintausendzehn",
            "一千零一十",
        ),
        (2000, "two thousand", "deux mille", "zweitausend", "两千"),
        (
            2200,
            "two thousand two hundred",
            "deux mille deux cents",
            "zweitausendzweihundert",
            "两千二百",
        ),
        (10_000, "ten thousand", "dix mille", "zehntausend", "一万"),
        (
            10_010,
            "ten thousand ten",
            "dix mille dix",
            "zehntausendzehn",
            "一万零一十",
        ),
        (
            12_000,
            "twelve thousand",
            "douze mille",
            "zwölftausend",
            "一万二千",
        ),
        (
            20_002,
            "twenty thousand two",
            "vingt mille deux",
            "zwanzigtausendzwei",
            "两万零二",
        ),
        (
            21_000,
            "twenty-one thousand",
            "vingt et un mille",
            "einundzwanzigtausend",
            "两万一千",
        ),
        (
            80_000,
            "eighty thousand",
            "quatre-vingt mille",
            "achtzigtausend",
            "八万",
        ),
        (
            100_000,
            "one hundred thousand",
            "cent mille",
            "einhunderttausend",
            "十万",
        ),
        (
            100_200,
            "one hundred thousand two hundred",
            "cent mille deux cents",
            "einhunderttausendzweihundert",
            "十万零二百",
        ),
        (
            101_001,
            "one hundred one thousand one",
            "cent un mille un",
            "einhunderteintausendeins",
            "十万一千零一",
        ),
        (
            110_110,
            "one hundred ten thousand one hundred ten",
            "cent dix mille cent dix",
            "einhundertzehntausendeinhundertzehn",
            "十一万零一百一十",
        ),
        (
            200_000,
            "two hundred thousand",
            "deux cent mille",
            "zweihunderttausend",
            "二十万",
        ),
        (
            280_080,
            "two hundred eighty thousand eighty",
            "deux cent quatre-vingt mille quatre-vingts",
            "zweihundertachtzigtausendachtzig",
            "二十八万零八十",
        ),
        (
            999_999,
            "nine hundred ninety-nine thousand nine hundred ninety-nine",
            "neuf cent quatre-vingt-dix-neuf mille neuf cent quatre-vingt-dix-neuf",
            "neunhundertneunundneunzigtausendneunhundertneunundneunzig",
            "九十九万九千九百九十九",
        ),
    ] {
        assert_eq!(in_all(n), [english, french, german, chinese]);
    }
}

#[test]
fn dates_are_right() {
    for (date, english, french, german, chinese) in [
        (
            (1984, 5, 3),
            "the third of may nineteen eighty-four",
            "le trois mai mille neuf cent quatre-vingt-quatre",
            "der dritte Mai neunzehnhundertvierundachtzig",
            "一九八四年五月三日",
        ),
        (
            (1900, 1, 1),
            "the first of january nineteen hundred",
            "le premier janvier mille neuf cent",
            "der erste Januar neunzehnhundert",
            "一九〇〇年一月一日",
        ),
        (
            (1980, 8, 31),
            "the thirty-first of august nineteen eighty",
            "le trente et un août mille neuf cent quatre-vingt",
            "der einunddreißigste August neunzehnhundertachtzig",
            "一九八〇年八月三十一日",
        ),
        (
            (1905, 3, 8),
            "the eighth of march nineteen oh five",
            "le huit mars mille neuf cent cinq",
            "der achte März neunzehnhundertfünf",
            "一九〇五年三月八日",
        ),
        (
            (1101, 2, 7),
            "the seventh of february eleven oh one",
            "le sept février mille cent un",
            "der siebte Februar elfhunderteins",
            "一一〇一年二月七日",
        ),
        (
            (2000, 2, 29),
            "the twenty-ninth of february two thousand",
            "le vingt-neuf février deux mille",
            "der neunundzwanzigste Februar zweitausend",
            "二〇〇〇年二月二十九日",
        ),
        (
            (2009, 12, 20),
            "the twentieth of december two thousand nine",
            "le vingt décembre deux mille neuf",
            "der zwanzigste Dezember zweitausendneun",
            "二〇〇九年十二月二十日",
        ),
        (
            (2021, 10, 12),
            "the twelfth of october twenty twenty-one",
            "le douze octobre deux mille vingt et un",
            "der zwölfte Oktober zweitausendeinundzwanzig",
            "二〇二一年十月十二日",
        ),
    ] {
        let (year, month, day) = date;
        let date = Date::new(year, month, day).unwrap();
        assert_eq!(date.english(), english);
        let words = Language::ALL.map(|language| date.words(language));
        assert_eq!(words, [french, german, chinese]);
    }
}

#[test]
fn days_that_are_none_are_refused() {
    for (year, month, day) in [
        (1900, 2, 29),
        (2100, 1, 1),
        (1099, 1, 1),
        (2001, 4, 31),
        (2001, 13, 1),
        (2001, 0, 1),
        (2001, 1, 0),
    ] {
        let error = Date::new(year, month, day).unwrap_err().to_string();
        assert!(error.contains("give one of"), "{error}");
    }
    assert!(Date::new(1996, 2, 29).is_ok() && Date::new(2000, 2, 29).is_ok());
    // 1,000 years with 243 leap days: 1200, 1600 and 2000 have one, the other centuries none.
    assert_eq!(Date::all().count(), 365_243);
    let error = words(Language::French, LIMIT).unwrap_err().to_string();
    assert!(
        error.contains("1000000") && error.contains("999999"),
        "{error}"
    );
    let error = "latin".parse::<Language>().unwrap_err().to_string();
    assert!(error.contains("french, german, chinese"), "{error}");
    assert_eq!("german".parse::<Language>().unwrap(), Language::German);
}
