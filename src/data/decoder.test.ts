import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { temporaryFolder } from '../../test/support/folder.js'
import { encode, encoders } from '../../test/support/pictures.js'
import { decodeImage } from '../images/decode.js'
import { imagenetPreprocess, preprocessImage } from '../images/preprocess.js'
import { readPicture, startDecoder } from './decoder.js'

const folder = temporaryFolder()
const decoder = startDecoder()
after(() => decoder.close())

describe('readPicture', () => {
  it('turns the picture upright', async () => {
    const preprocess = { ...imagenetPreprocess(), resize: 20, crop: 16 }
    const turned = folder.write('turned.jpg', await encoders.jpeg().withMetadata({ orientation: 6 }).toBuffer())
    const upright = await decodeImage(turned, { orient: true })
    assert.deepEqual(await readPicture(decoder, turned, preprocess), preprocessImage(upright, preprocess))
    const plain = folder.write('plain.jpg', await encode('jpeg'))
    assert.notDeepEqual(await readPicture(decoder, turned, preprocess), await readPicture(decoder, plain, preprocess))
  })
})
