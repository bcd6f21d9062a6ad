//! How people write the ten digits: stroke outlines drawn by hand, several forms a digit.
//!
//! The tables are text: a form a line, first a number that says how often people write it,
//! against its siblings, then its strokes, ` / ` where the pen is lifted. A stroke lists its
//! control points, each as four decimals `xxyy` in hundredths of the writing box, y downwards.
//! The pen runs smoothly through the points (a Catmull-Rom curve); a point given twice is a
//! corner. What follows `#` is a remark.

use super::{Dice, Dot};

/// Spread of a control point, in writing boxes.
const SHAKE: f32 = 0.04;
/// Relative spread of the pen's radius along a stroke.
const PRESSURE: f32 = 0.15;
/// Straight pieces between two control points.
const PIECES: usize = 6;

/// Writes a digit in one of its forms, in the unit square.
pub(super) fn write(digit: usize, dice: &mut Dice) -> Vec<Vec<Dot>> {
    let forms = FORMS.get(digit).copied().unwrap_or_default();
    let strokes = choose(forms, dice).split('/');
    strokes.map(|stroke| curve(&shaken(stroke, dice))).collect()
}

/// Picks a form with probability proportional to its weight.
fn choose(forms: &'static str, dice: &mut Dice) -> &'static str {
    let total = parsed(forms).map(|(weight, _)| weight).sum();
    let mut left = dice.below(total);
    for (weight, strokes) in parsed(forms) {
        match left.checked_sub(weight) {
            Some(rest) => left = rest,
            None => return strokes,
        }
    }
    ""
}

/// Weights and strokes of the forms in a table.
fn parsed(forms: &str) -> impl Iterator<Item = (u32, &str)> {
    forms.lines().filter_map(|line| {
        let (form, _remark) = line.split_once('#').unwrap_or((line, ""));
        let (weight, strokes) = form.split_once(' ')?;
        Some((weight.parse().ok()?, strokes))
    })
}

/// The control points of a stroke, moved at random.
fn shaken(stroke: &str, dice: &mut Dice) -> Vec<Dot> {
    let mut dots: Vec<Dot> = Vec::with_capacity(stroke.len() / 5 + 1);
    let mut before = None;
    for place in stroke.split_ascii_whitespace() {
        let Ok(xy) = place.parse::<u16>() else {
            continue;
        };
        // A corner is one point given twice: both must move alike, or it becomes a step.
        let corner = dots.last().filter(|_| before == Some(xy)).copied();
        before = Some(xy);
        dots.push(corner.unwrap_or_else(|| Dot {
            x: f32::from(xy / 100) / 100.0 + dice.bell(SHAKE),
            y: f32::from(xy % 100) / 100.0 + dice.bell(SHAKE),
            r: 1.0 + dice.bell(PRESSURE),
        }));
    }
    dots
}

/// A Catmull-Rom curve through the control points, as straight pieces.
fn curve(knots: &[Dot]) -> Vec<Dot> {
    let mut dots: Vec<Dot> = knots.first().copied().into_iter().collect();
    for (at, ends) in knots.windows(2).enumerate() {
        let &[b, c] = ends else { continue };
        if b.x == c.x && b.y == c.y {
            continue;
        }
        let before = at.checked_sub(1).and_then(|at| knots.get(at));
        let (a, d) = (before.unwrap_or(&b), knots.get(at + 2).unwrap_or(&c));
        for piece in 1..=PIECES {
            let t = piece as f32 / PIECES as f32;
            let along = |a: f32, b: f32, c: f32, d: f32| {
                let (linear, square) = (c - a, 2.0 * a - 5.0 * b + 4.0 * c - d);
                let cube = 3.0 * (b - c) + d - a;
                b + 0.5 * t * (linear + t * (square + t * cube))
            };
            dots.push(Dot {
                x: along(a.x, b.x, c.x, d.x),
                y: along(a.y, b.y, c.y, d.y),
                r: b.r + t * (c.r - b.r),
            });
        }
    }
    dots
}

/// The forms of the digits 0 to 9.
const FORMS: [&str; 10] = [ZERO, ONE, TWO, THREE, FOUR, FIVE, SIX, SEVEN, EIGHT, NINE];

const ZERO: &str = "
5  5202 3012 1845 2684 5098 7484 8248 7214 5002  # an oval that closes at the top
4  5502 2510 0545 1482 4898 8285 9548 8214 5203  # nearly a circle
2  5202 3620 3050 3682 5298 6680 7048 6418 5002  # narrow
2  6010 3508 1645 2485 5097 7682 8445 7012 4502 3408  # the end runs on past the start
1  4208 2225 1655 2890 5596 8075 8438 7010 5403  # left open at the top
1  4820 6008 4004 2030 1870 4097 6890 8455 7618 5404  # starts with a stroke inside
2  7002 4218 2060 2290 3697 6278 8238 8210 6802  # leans, pointed at both ends
2  7008 4004 1830 1070 4096 7885 9050 7512 5008 3020  # squat, the end runs inside
2  3515 2040 2075 4597 7088 8560 8030 6005 4505 3020 4030  # ends curled inside
1  4804 7014 8248 7284 4898 2480 1845 3012 5404 6610  # written the other way round
3  5818 6404 3808 1640 1678 3896 6690 8460 8026 6606 4604  # both ends cross at the upper right
2  7424 6206 3804 1830 1470 3297 6292 8462 8430 6408 4412
2  5030 5012 3604 1834 1876 4298 7086 8450 7416 4802  # a start that hangs inside
";

const ONE: &str = "
12  5002 5050 5098  # a bare stroke, straight or bent a little
3  5202 4935 4868 5298
7  6402 5050 3698  # leaning
2  3422 4514 5402 5402 5350 5298  # with a flag
1  3024 4414 5202 5202 5250 5295 / 2696 5295 8095  # with a flag and a foot
1  5202 5150 5096 / 3097 5096 7296  # with a foot only
2  4210 5402 5402 5150 4898  # with a tick at the top
1  2430 6402 6402 5450 4298
";

const TWO: &str = "
4  1824 3406 6004 7424 6252 3878 1696 1696 5095 8494  # a hook, a slope, a corner, a base line
5  2022 3805 6406 7428 5860 3488 1692 2078 4080 6292 8892  # the corner is a small loop
3  1430 3006 6003 7224 6058 3886 1897 0686 1670 4078 6493 9284  # the corner is a wide loop
2  2218 4502 7214 7042 4668 2290 3092 5590 8296  # round at the corner, waved base
1  1610 4506 7608 7614 5050 1892 1892 5092 8492  # like a Z
1  3036 1826 3008 5803 7622 6650 4078 1894 1894 5088 8696  # begins with a curl
1  2530 3508 5806 6625 5555 3082 0892 0892 5090 9886  # short neck, long base
2  2436 2210 5003 7218 6450 4080 1896 0688 2070 5080 9096  # a curled head over a wide loop
2  4040 2430 2808 5602 7620 7048 5078 2696 0888 1570 4074 6888 9498
2  2034 3006 6006 7036 5068 1690 0484 2074 6082 9890  # squat, a flat loop
1  2224 4004 6608 7030 5560 3090 3090 5094 6890  # a short base
2  3020 4806 6216 5848 3878 1094 1094 4084 9278  # a short hook, the base rises
5  1830 2008 5002 7020 6850 4278 1892 0482 1666 4072 6682 8894  # a low start, a closed loop
4  2630 3008 5603 7420 6648 4676 2692 1486 2270 4472 6286 8880
2  2228 3606 6404 7826 6058 3684 1496 0886 2078 4486 6898 9294
3  3232 2420 3606 5803 7416 7040 5468 3490 1496 0884 2074 4476 6288 9092  # a curled head
2  1828 3006 6006 7226 6050 4478 2294 1080 3072 5476 7090 9488
4  1828 3006 6006 7226 6050 4075 2092 0888 1068 3058 5066 7084 8298  # a loop as tall as the head
4  2430 3210 5804 7420 6644 4672 2692 1282 2264 4462 6074 7492 9294
2  2026 3604 6203 7620 6842 5068 3488 1896 0884 1464 3656 5866 7482 8676
";

const THREE: &str = "
5  2014 4402 7012 6834 4247 4247 7054 8074 6294 3698 1686  # two round bellies that meet in a point
3  2410 5003 7016 6438 5248 6856 7676 5696 2294  # without touching in the middle
2  2014 4602 7014 6236 4050 3446 4443 7054 7876 5697 1888  # with a small loop in the middle
2  2006 4806 7605 7605 5626 4242 4242 7050 7872 6094 3498 1688  # flat top
2  2812 4603 6212 5830 4040 4040 6844 8466 7092 4098 1290  # small above, large below
1  1420 4002 7614 7440 4454 4454 6658 7478 5294 1092  # large above, flat tail
1  2224 2808 5402 7218 6240 4448 4448 7458 7686 4898 2288 1876  # hooked ends
3  1020 4004 7410 6830 4048 4048 7058 7880 5098 2498 0484  # wide, a long tail
2  3010 5602 7014 6234 5046 6458 6878 5494 2298  # narrow, leaning, hardly notched
2  1610 5002 8216 7640 4856 4856 6464 6682 4697 1892  # large above, small below
2  1414 4402 6812 6634 5246 3048 3048 5650 7464 7084 4898 1290  # the bellies meet in a line
3  1815 4503 6808 6225 3550 3550 6048 7462 6685 3598 1092  # the middle reaches far to the left
2  2608 5002 7608 6628 4048 4048 6252 6872 5292 2498 0688
2  1630 1812 4402 7014 6236 4447 4447 7456 8078 5698 2692 1276  # both ends curl
1  2618 4404 6614 5830 4440 4440 6444 7868 6892 3898 1684  # a hook above a long bow
";

const FOUR: &str = "
5  2406 1834 1852 1852 5052 8248 / 7404 7250 6898  # open: a bent stroke and a long upright
3  2804 1635 2454 4854 7446 / 7602 7250 7098  # open, the left arm a curve
3  2406 1436 2254 5052 7036 8006 8006 7450 6698  # open, written in one go
4  6203 3636 1264 1264 5064 9062 / 6403 6350 6298  # closed: a triangle and an upright
2  7098 7050 7004 7004 4036 1260 1260 5060 8858  # closed, in one go
2  1410 1240 1458 1458 5056 9050 / 6426 6060 5696  # open, a short upright
1  3402 2030 0858 0858 5256 9856 / 6824 6660 6698  # wide bar that runs past the upright
3  3804 2430 1056 1056 5050 9240 / 7014 6256 5498  # the bar rises
2  1608 1034 2054 4658 7044 8408 8408 7656 7098  # like a U with a tail
1  3006 2224 2842 5044 6834 7404 7404 6652 5698  # small above a long upright
2  2604 1830 1662 1662 4862 8858 / 6010 6052 5898  # a tall left arm, the bar low
1  3404 2030 1052 1052 5052 9446 / 6632 6060 5294  # a short crossing upright
";

const FIVE: &str = "
4  3408 3026 2644 2644 5038 7452 7480 4898 1690 / 3408 5807 8404  # stem, belly and a separate bar
4  8004 5606 3408 3408 3026 2644 2644 5240 7456 7084 4498 1488  # in one go from the bar
3  8206 5606 3814 3032 4044 6254 7074 5494 2094  # like an S
2  6604 5006 3606 3606 3022 2638 2638 5634 8256 7488 4298 1084  # short bar, large belly
2  9606 7206 5008 5008 4228 3446 3446 5648 6466 5090 2697 1090  # leaning, small belly
1  3014 2830 2646 2646 5242 7258 6884 4497 1888 / 3806 6204 9204  # the bar floats away
2  7806 5206 3408 3408 3028 2644 2644 5438 7656 7084 4498 2290 1876  # the belly curls far back
2  9006 6006 3210 3210 2826 2638 2638 5240 6258 5484 3296 1094  # long bar, small belly
2  4208 3426 2842 2842 4644 5864 4888 2698 0892 / 4208 6808 9604  # the stem leans, belly hangs low
3  7805 5206 3208 3208 2828 2446 2446 5040 7458 7084 4498 1890 1076  # the belly's end rises
2  3806 3026 2848 2848 5042 7460 6686 4098 1892 1278 / 3806 6006 8606
1  7006 5004 3410 3030 4044 6454 7274 5894 3098 1486
3  8804 6004 3606 3606 2830 2448 2448 4838 7044 8062 7082 4896 2090  # a high, wide belly
1  8406 6006 4008 4008 3226 2844 2844 5240 6856 6680 4696 2494 1480
";

const SIX: &str = "
5  6603 4022 2256 2686 5098 7486 7462 5452 3462 2680  # a curved stem and a round bowl
3  4802 3630 2662 2890 5098 7286 7266 5456 3666 2880  # a straight stem
3  7412 6003 3616 2050 2686 5298 8084 8056 5444 2860  # a hooked stem, large bowl
2  6202 3630 1866 2694 5097 6484 6270 5066 3476 3284  # a small bowl that ends inside
2  8803 5622 2456 1684 3498 6290 7472 6262 3872 2286  # leaning far, flat bowl
1  5602 3430 2264 3292 5696 7480 7062 5260 4268  # the bowl stays open
4  5004 3030 1465 2292 5698 8884 8466 6054 3666 2084  # a wide bowl, a short stem
3  5803 3630 2062 2690 5098 7682 6860 4454 2066 0880  # the bowl's end crosses the stem
2  4602 2638 1470 2694 6096 8678 7662 4662 1676
2  8016 6004 3612 1446 1880 4697 7486 7662 5450 3656 2674  # a round C with a ring in it
1  4003 2830 1866 2894 5898 8082 8058 6848 5056 4676  # a spiral: the bowl's end hangs inside
1  5603 3628 2064 2692 5298 7886 8266 6654 4864 4484
3  3603 2036 1068 2492 5296 8284 8262 6450 4260 3478 2286  # a deep bow, then a ring that crosses it
2  6204 4026 2654 2282 4298 6888 7466 5450 3458 1874
2  5202 3430 1866 1690 4098 7288 8668 6658 3670 0886
2  5003 3830 2866 3090 4698 6490 6874 5862 4266 3082  # a narrow stem, the ring at the foot
";

const SEVEN: &str = "
6  1610 4809 8206 8206 6448 4698  # a bar and a slope
4  1612 4808 8006 8006 6230 5060 4498  # a bar and a slope that bends
2  1826 1810 1810 5009 8208 8208 6450 4898  # with a serif at the left
3  1810 5008 8406 8406 6248 4098 / 3452 5650 8046  # with a stroke through the middle
3  1418 2606 5008 7406 7620 6252 5098  # round at the corner
2  2814 4408 6404 6404 6440 6098  # steep, narrow
1  1420 2406 4412 6612 8402 8402 6244 4298  # waved bar
3  1238 1412 1412 5010 8406 8406 6650 5298  # a long serif
2  2034 1814 2806 5010 7806 7806 7242 6498
2  2236 2212 2212 5008 7210 7828 7060 6498  # like a hooked n, steep
2  1416 4612 8008 8008 5850 4698 / 3058 7256  # a short stroke low through the middle
2  0422 4012 9004 9004 6044 4098  # a long bar
2  1814 4812 8208 8208 6048 4698 / 2060 5056 8252  # crossed below the middle
1  2022 2212 5012 7808 7808 6050 5498 / 3050 7848
";

const EIGHT: &str = "
5  7214 5002 2814 3436 5450 7270 6094 3696 2676 4452 6634 7414  # an S closed by an upstroke
3  5048 2832 3010 5202 7214 6636 4850 2870 3294 5498 7484 6862 4847  # from the crossing
2  5002 3010 2832 5046 7234 7212 5002 / 5046 2658 2486 5098 7686 7458 5046  # two rings
2  6820 5405 3212 3434 5854 6878 5097 3084 4058 6434 7808  # left open at the top right
2  7412 6002 4414 4636 5456 5482 3898 2884 4058 6438 7614  # narrow and leaning
1  6412 5003 3812 4028 5840 8064 7092 4098 1880 3254 5834 6614  # small above, large below
2  7816 5002 2218 3042 5256 6278 5097 3884 4660 7040 8018  # large above, narrow below
3  7622 6804 3010 2430 4846 6664 6088 3898 2484 3662 7030 9006  # leaning, the end runs out
3  7406 4006 2022 3642 6258 7080 5096 2890 2872 4854 7030 7806
2  7812 4404 1824 3242 5452 6070 4892 3680 4662 6446 8222 7408  # wide above, a tiny ring below
2  6416 5204 4014 4430 6246 8272 6496 2894 1674 3452 5832 6412  # tiny above, a wide ring below
3  8012 6202 3808 3028 5046 6066 5088 3497 2084 3264 6040 8418  # the end passes the start
2  6822 5606 3610 3430 5850 6676 5096 3090 3070 5448 7826 8604
3  7614 6004 3410 3032 5048 6470 5494 3496 2682 3866 6048 8030 9412  # the end runs far out
2  6812 5004 3416 4034 5850 6068 4894 3298 2288 3466 5248 7028 8006
";

const NINE: &str = "
5  7414 5204 2820 2844 5052 7034 7512 7512 7255 6898  # a ring and a straight tail
4  7616 5403 2620 2442 4648 7030 7714 7714 6255 4498  # a ring and a leaning tail
3  7418 5403 2816 2642 4852 7236 7616 7850 6884 4697 2490  # a curved tail
2  7010 5203 3614 3632 5238 6826 7110 7110 6850 6098  # a small ring
2  7216 5004 2620 2644 5052 7032 7412 7440 6674 5298  # a tail that bends at its end
2  7610 5208 2430 2448 4450 6632 7610 7610 6652 5898  # a pointed head, from the right
1  7042 4650 2834 3810 6204 7622 7256 6498  # the ring begins at its bottom right
3  7030 5008 1022 1250 4056 7434 8010 8010 7850 7498  # a wide ring
2  8020 5002 1418 1250 4262 7444 8416 8416 8260 7698  # a large ring, a short tail
2  6806 4006 2028 3048 6040 7610 7610 7050 6098  # open at the top
2  6830 5010 2820 2444 5050 7428 7412 7650 6486 4096 3088  # the ring begins inside, the tail curls
2  7814 5206 2016 1434 3644 6234 7814 7814 7050 5698  # a flat head
2  7208 4406 2026 2442 5040 7018 7408 7408 6450 4298
2  6816 5006 3012 2034 3250 5446 6830 7402 7402 6648 5898  # a ring open at its right
2  7008 4804 2618 2238 4048 6436 7210 7210 6454 4098
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_well_written() {
        for forms in FORMS {
            assert_eq!(parsed(forms).count(), forms.trim().lines().count());
            for stroke in parsed(forms).flat_map(|(_, strokes)| strokes.split('/')) {
                let mut places = stroke.split_ascii_whitespace();
                assert!(places.clone().count() >= 2, "short: {stroke}");
                assert!(
                    places.all(|place| place.len() == 4 && place.parse::<u16>().is_ok()),
                    "{stroke}"
                );
            }
        }
    }
}
