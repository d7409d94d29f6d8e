"""Draws measured figures as shares of the card's limits: python3 bench/plot.py docs/gpu-figures.json docs/images/gpu.svg"""
import json
import sys
from html import escape

LEFT, WIDTH, ROW, BAR, TOP = 250, 460, 20, 13, 46
figures = json.load(open(sys.argv[1]))
most = 1.1
lines, y = [], TOP
for group in figures["groups"]:
    y += 10
    lines.append(f'<text x="10" y="{y}" class="group">{escape(group["name"])}</text>')
    y += 8
    for bar in group["bars"]:
        share = bar["value"] / bar["floor"] if group["higher_is_better"] else bar["floor"] / bar["value"]
        kind = "ours" if bar["name"] == "LocalLlm" else "peer"
        lines.append(f'<text x="{LEFT - 8}" y="{y + BAR - 2}" text-anchor="end">{escape(bar["name"])}</text>')
        lines.append(f'<rect x="{LEFT}" y="{y}" width="{WIDTH * min(share, most) / most:.1f}" height="{BAR}" class="{kind}"/>')
        lines.append(f'<text x="{LEFT + WIDTH * min(share, most) / most + 6:.1f}" y="{y + BAR - 2}">{bar["value"]:g} {escape(group["unit"])}, {share:.0%}</text>')
        y += ROW
    y += 12
floor = LEFT + WIDTH / most
print(f'''<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 {y + 10}" font-family="sans-serif" font-size="12">
<style>text{{fill:#333}} .group{{font-weight:bold}} .ours{{fill:#2a6fb0}} .peer{{fill:#b9c4ce}} .title{{font-size:14px}} @media (prefers-color-scheme: dark){{text{{fill:#ddd}} .peer{{fill:#66727d}}}}</style>
<text x="10" y="20" class="title">{escape(figures["title"])}</text>
<line x1="{floor:.1f}" y1="{TOP - 8}" x2="{floor:.1f}" y2="{y - 8}" stroke="#c33" stroke-dasharray="4 3"/>
<text x="{floor:.1f}" y="{TOP - 12}" text-anchor="middle">limit of the card</text>
{chr(10).join(lines)}
</svg>''', file=open(sys.argv[2], "w"))
