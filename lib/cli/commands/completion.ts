import { command } from '../command.ts'
import { SCRIPTS, SHELLS } from '../completion/scripts.ts'

export default command({
  name: 'completion',
  description: 'Print a script that makes a shell complete commands, flags, environments, services and releases.',
  reads: true,
  args: { shell: { type: 'positional', required: true, description: 'the shell', options: SHELLS } },
  examples: [
    ['eval "$(stagecraft completion bash)"', 'in ~/.bashrc'],
    ['source <(stagecraft completion zsh)', 'in ~/.zshrc, after compinit'],
    ['stagecraft completion fish > ~/.config/fish/completions/stagecraft.fish', 'once'],
  ],
  async run({ shell }, { report }) {
    const script = SCRIPTS[shell]
    report.result('completion', { shell, script }, () => script.split('\n'))
    return 0
  },
})
