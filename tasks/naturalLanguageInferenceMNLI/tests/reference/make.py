"""A good submission: a proper learning rate with warm-up and decay, no dropout for so small a model, eight epochs."""

import sys

import torch
from baseline import OUTPUT, START, load_model, make_batches, read_pairs
from transformers import BertTokenizer

EPOCHS, RATE = 8, 3e-3
torch.manual_seed(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
tokenizer = BertTokenizer.from_pretrained(START)
model = load_model(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0).to(device)
batches = make_batches(tokenizer, read_pairs("data/train/pairs.jsonl"), 64, shuffle=True)
optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=EPOCHS * len(batches), pct_start=0.1)
for epoch in range(EPOCHS):
    model.train()
    total = 0.0
    for batch in batches:
        loss = model(**batch.to(device)).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        total += loss.item()
    print(f"epoch {epoch + 1}: loss {total / len(batches):.3f}", flush=True)
model.save_pretrained(OUTPUT)
