//! What does not fit is refused by name, and leaves the window as it was.

use super::*;

const SIZES: Sizes = Sizes { width: 8, heads: 2, head_width: 2, hidden: 8, columns: 4, blocks: 3, vocab: 5 };

fn refusal<T>(result: Result<T, EngineError>, part: &str) {
    let message = result.err().expect("must be refused").to_string();
    assert!(message.contains(part), "`{message}` does not say `{part}`");
}

#[test]
fn weights_that_do_not_fit_are_refused() {
    let with = |change: &dyn Fn(&mut TransformerWeights)| {
        let mut model = random(SIZES, &ALL, &mut Numbers(1));
        change(&mut model.weights);
        model.decoder()
    };
    let layer = |index: usize, change: &dyn Fn(&mut LayerWeights)| {
        let mut model = random(SIZES, &ALL, &mut Numbers(1));
        change(&mut model.layers[index]);
        model.decoder()
    };
    assert!(with(&|_| ()).is_ok());
    refusal(with(&|w| w.width = 0), "`width` is 0");
    refusal(with(&|w| w.blocks = 5), "5 equal blocks");
    refusal(with(&|w| w.heads = 3), "layers[0].c_attn");
    refusal(with(&|w| w.vocab = usize::MAX), "`embedding`");
    refusal(with(&|w| w.residual_scale = f32::NAN), "`residual_scale`");
    refusal(with(&|w| w.prime = 0), "`layers[5]` looks at the front");
    refusal(layer(2, &|l| l.ln_1.b.truncate(7)), "layers[2].ln_1.b");
    refusal(layer(1, &|l| l.c_fc.w.truncate(7)), "layers[1].c_fc.w");
    refusal(layer(3, &|l| l.mlp_proj.inputs = 9), "layers[3].mlp_proj");
    refusal(layer(4, &|l| l.encoder_kv = None), "layers[4].encoder_kv");
    refusal(layer(4, &|l| l.attn_func = AttnFunc::Dense), "layers[4].c_attn");
    refusal(layer(0, &|l| l.attn_func = AttnFunc::Summary), "function 4 (Summary)");
    refusal(layer(0, &|l| l.attn_func = AttnFunc::SpreadSummary), "function 5 (SpreadSummary)");
    refusal(with(&|w| w.output = Some(vec![0.0])), "`output` [5, 8]");
}

#[test]
fn windows_and_tokens_that_do_not_fit_are_refused() {
    let mut n = Numbers(1);
    let mut decoder = random(SIZES, &ALL, &mut n).decoder().unwrap();
    let (start, encoder) = (n.many(16, 1.0), n.many(2 * 3 * 8, 1.0));
    let all = Conditions { start: &start, positions: None, encoder: Some(&encoder) };
    refusal(decoder.advance(&[&[]]).map(<[f32]>::len), "`begin`");
    refusal(decoder.begin(all, 0, 12), "without rows");
    refusal(decoder.begin(all, 2, 13), "1 to 12 positions");
    refusal(decoder.begin(all, 2, 0), "0 positions");
    refusal(decoder.begin(all, 3, 12), "`start` [3, 8]");
    refusal(decoder.begin(Conditions { positions: Some(&start), ..all }, 2, 12), "`condition` [24, 8]");
    refusal(decoder.begin(Conditions { encoder: Some(&encoder[1..]), ..all }, 2, 12), "`encoder` [4, 8]");
    refusal(decoder.begin(Conditions { encoder: Some(&[]), ..all }, 2, 12), "`encoder` [2, 8]");
    refusal(decoder.begin(Conditions { encoder: None, ..all }, 2, 12), "layer 4 looks at an encoder");
    decoder.begin(all, 2, 12).unwrap();
    let before = decoder.advance(&[&[1, 2], &[3, 4]]).unwrap().to_vec();
    refusal(decoder.advance(&[&[1], &[5]]).map(<[f32]>::len), "token 5");
    refusal(decoder.advance(&[&[1], &[]]).map(<[f32]>::len), "[1, 0]");
    refusal(decoder.advance(&[&[1]]).map(<[f32]>::len), "2 rows");
    refusal(decoder.advance(&[&[0; 10], &[0; 10]]).map(<[f32]>::len), "2 and 10 tokens");
    assert_eq!(decoder.advance(&[&[], &[]]).unwrap(), before);
    assert!(decoder.advance(&[&[0; 9], &[0; 9]]).is_ok());
}
